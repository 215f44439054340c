//! The table of connections: which one a segment is of, who is the server, and which are forgotten when there are too many.
