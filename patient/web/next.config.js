/** @type {import('next').NextConfig} */
module.exports = {
  output: 'standalone',
  images: { domains: ['assets.staging.tidemark.example'] },
};
