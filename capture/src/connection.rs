//! What is said on one connection: both directions read as HTTP/1, requests paired with their responses.
