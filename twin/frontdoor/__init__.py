"""How clients come in: a CONNECT proxy with its own authority, HTTP, gRPC, tokens, administration."""
