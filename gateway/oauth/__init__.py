"""OAuth 2 towards providers of mail accounts: logging in, and access tokens that are fresh when they are needed."""
