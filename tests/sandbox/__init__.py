"""The stand-in for the remote service, over real loopback where it has to do with HTTP."""
