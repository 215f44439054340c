//! All steps in a row: a packet in, exchanges out.

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mirror::outcome::Abort;

use crate::connection::Connection;
use crate::decode::{Decoded, Decoder, Unreadable};
use crate::flow::{self, Closed, Flows, Handler};
use crate::offer::Offer;
use crate::source::Sink;
use crate::{Packet, Piece, decode};

/// The steps from packets to exchanges.
pub struct Assembly<O: Offer> {
    decoder: Decoder,
    flows: Flows<Connection<O::Writer>>,
    follower: Follower<O>,
    seen: Counters,
    told: Arc<Mutex<Counters>>,
}

/// What happened, in all since the start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counters {
    /// Packets that were given.
    pub packets: u64,
    /// Packets read that are not TCP.
    pub other: u64,
    /// Fragments kept for their datagrams.
    pub fragments: u64,
    /// Packets that could not be read, by [`Unreadable`].
    pub unreadable: [u64; Unreadable::ALL.len()],
    /// Of the flow table.
    pub flows: flow::Counters,
    /// Its entries now.
    pub entries: usize,
    /// Bytes held now, out of order or because their message cannot be told yet.
    pub held: usize,
    /// Bytes that are not HTTP/1: tunnels, and what lies between messages where these were lost.
    pub opaque: u64,
    /// How often a direction was lost and looked for the next head.
    pub losses: u64,
}

/// Reads connections for the flow table.
struct Follower<O> {
    offer: O,
    opaque: u64,
    losses: u64,
}

impl<O: Offer> Assembly<O> {
    /// `ports` are the servers'; where there are none, servers are told by SYN and content.
    pub fn new(offer: O, limits: flow::Limits, ports: &[u16]) -> Assembly<O> {
        Assembly {
            decoder: Decoder::new(decode::Limits::default()),
            flows: Flows::new(limits, ports),
            follower: Follower { offer, opaque: 0, losses: 0 },
            seen: Counters::default(),
            told: Arc::default(),
        }
    }

    /// Where the counters can be read meanwhile; they are brought up to date at each tick.
    pub fn counters(&self) -> Arc<Mutex<Counters>> {
        self.told.clone()
    }

    fn tell(&mut self) {
        let Follower { opaque, losses, .. } = self.follower;
        let (flows, entries, held) = (*self.flows.counters(), self.flows.entries(), self.flows.held());
        let counters = Counters { flows, entries, held, opaque, losses, ..self.seen };
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = counters;
    }
}

impl<O: Offer> Sink for Assembly<O> {
    fn packet(&mut self, packet: Packet<'_>) {
        self.seen.packets += 1;
        match self.decoder.decode(packet) {
            Decoded::Segment(segment) => self.flows.segment(&segment, &mut self.follower),
            Decoded::Other => self.seen.other += 1,
            Decoded::Fragment => self.seen.fragments += 1,
            Decoded::Unreadable(why) => self.seen.unreadable[why as usize] += 1,
        }
    }

    fn tick(&mut self, now: Duration) {
        self.flows.tick(now, &mut self.follower);
        self.tell();
    }

    fn end(&mut self, _: Duration) {
        self.flows.finish(&mut self.follower);
        self.tell();
    }
}

impl<O: Offer> Handler for Follower<O> {
    type Connection = Connection<O::Writer>;

    fn open(&mut self, client: SocketAddr, server: SocketAddr, midstream: bool, _: Duration) -> Self::Connection {
        Connection::new(client, server, midstream)
    }

    fn piece(&mut self, connection: &mut Self::Connection, from_client: bool, piece: Piece<'_>) {
        connection.piece(from_client, piece, &mut self.offer);
    }

    fn kept(&self, connection: &Self::Connection) -> usize {
        connection.kept()
    }

    fn give_up(&mut self, connection: &mut Self::Connection, at: Duration) {
        connection.give_up(at, &mut self.offer);
    }

    fn close(&mut self, connection: Self::Connection, why: Closed, at: Duration) {
        let (up, down) = connection.opaque();
        self.opaque += up + down;
        self.losses += connection.losses();
        let abort = match why {
            // Who reset is not told apart: an answer that did not come is the upstream's to give. After a loss it may have come.
            Closed::Finished | Closed::Reset if connection.losses() == 0 => Abort::Upstream,
            _ => Abort::Capture,
        };
        connection.close(abort, at, &mut self.offer);
    }
}
