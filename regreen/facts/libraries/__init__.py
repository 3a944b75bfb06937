"""What is known of the libraries that targets use: names, versions, kinds of objects. Nothing here imports them."""
