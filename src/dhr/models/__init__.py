"""Networks behind protocols: unsupervised (``uss``) and weakly-supervised (``wss``) ones."""
