//! Where packets come from: interfaces and saved captures.
