"""Cloud Run services as local processes, the load balancer and the CDN in front of them, all read from the twin's records."""
