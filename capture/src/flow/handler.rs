//! What takes what was said.

use std::net::SocketAddr;
use std::time::Duration;

use crate::Piece;

/// Takes what was said, connection by connection.
pub trait Handler {
    /// What it keeps of each.
    type Connection;

    /// Something is about to be said on a connection. `midstream`: it was open before the capture, so the first bytes may be from the midst
    /// of a message.
    fn open(&mut self, client: SocketAddr, server: SocketAddr, midstream: bool, at: Duration) -> Self::Connection;

    /// What comes next in one direction. After a direction's [`Piece::End`] there is nothing more of it.
    fn piece(&mut self, connection: &mut Self::Connection, from_client: bool, piece: Piece<'_>);

    /// How much memory it holds of what was said in one direction, in bytes. It counts as what is held out of order does; where there is no
    /// room for it, a [`Piece::Gap`] of zero bytes tells the handler to give it up, and if that is not enough the connection is evicted.
    fn held(&self, connection: &Self::Connection, from_client: bool) -> usize {
        let _ = (connection, from_client);
        0
    }

    /// It is over: nothing more of it comes.
    fn close(&mut self, connection: Self::Connection, why: Closed, at: Duration);
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Closed {
    /// Both sides ended.
    Finished,
    /// By a RST.
    Reset,
    /// There were too many.
    Evicted,
    /// Nothing was said for long.
    Idle,
    /// Another connection between the same ends began.
    Replaced,
    /// The capture ended.
    EndOfCapture,
}
