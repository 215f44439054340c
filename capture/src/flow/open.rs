//! A connection on which something was said.

use std::time::Duration;

use super::half::Half;
use super::key::End;
use super::table::List;
use super::{Closed, Counters, Handler};
use crate::reassembly::Reassembly;
use crate::{Piece, Segment};

/// Both directions, and what the handler keeps.
#[derive(Debug)]
pub(super) struct Open<C> {
    pub(super) connection: C,
    pub(super) client: End,
    /// The initial sequence numbers, where the handshake was seen.
    pub(super) isn: [Option<u32>; 2],
    sides: [Reassembly; 2],
    /// What the handler held when it was last told something, in bytes.
    kept: usize,
    heard: [bool; 2],
    /// A SYN that may begin another connection: by which end, with which number. Anyone can send one, so it counts once it is answered.
    rival: Option<(End, u32)>,
}

/// What a segment leads to.
#[derive(Debug)]
pub(super) enum Next {
    Stay,
    /// It is not of this connection, and does not keep it alive.
    Foreign,
    Close(Closed),
    /// Another connection between the same ends.
    Replace(Half),
}

impl<C> Open<C> {
    pub(super) fn new(connection: C, client: End, half: &Half, limit: usize) -> Self {
        let mut sides = [Reassembly::new(limit), Reassembly::new(limit)];
        for (side, isn) in sides.iter_mut().zip(half.isn) {
            if let Some(isn) = isn {
                side.begin(isn.wrapping_add(1));
            }
        }
        Self { connection, client, isn: half.isn, sides, kept: 0, heard: half.heard, rival: None }
    }

    pub(super) fn list(&self) -> List {
        if self.heard == [true; 2] { List::Established } else { List::OneSided }
    }

    /// How much memory is held, in bytes: out of order, and by the handler.
    pub(super) fn held(&self) -> usize {
        self.sides[0].held() + self.sides[1].held() + self.kept
    }

    pub(super) fn segment<H: Handler<Connection = C>>(
        &mut self,
        segment: &Segment<'_>,
        end: End,
        counters: &mut Counters,
        handler: &mut H,
    ) -> Next {
        if segment.syn
            && let Some(next) = self.syn(segment, end, counters)
        {
            return next;
        }
        if let Some((_, isn)) = self.rival.filter(|(by, isn)| *by == end && segment.sequence == isn.wrapping_add(1))
            && !self.heard[1 - end]
            && !segment.payload.is_empty()
        {
            // The other side is not captured, so that nothing can answer: the data does.
            let mut half = Half::unheard(self.client);
            half.isn[end] = Some(isn);
            return Next::Replace(half);
        }
        if !self.sides[end].plausible(segment.sequence) {
            counters.streams.foreign += 1;
            return Next::Foreign;
        }
        if segment.rst {
            return self.rst(segment, end, counters, handler);
        }
        self.heard[end] = true;
        let Self { connection, sides, client, .. } = self;
        if let Some(ack) = segment.acknowledgment {
            let mut emit = |piece: Piece<'_>| handler.piece(connection, 1 - end == *client, piece);
            sides[1 - end].acknowledge(ack, segment.time, &mut counters.streams, &mut emit);
        }
        let mut emit = |piece: Piece<'_>| handler.piece(connection, end == *client, piece);
        sides[end].segment(segment, &mut counters.streams, &mut emit);
        self.next(handler)
    }

    /// A SYN within the connection: the handshake's, once more or late, or another connection's, or a forged one. None for the first two.
    fn syn(&mut self, segment: &Segment<'_>, end: End, counters: &mut Counters) -> Option<Next> {
        let other = 1 - end;
        let sequence = segment.sequence;
        if self.isn[end] == Some(sequence) || self.sides[end].expects(sequence.wrapping_add(1)) {
            return None;
        }
        match (segment.acknowledgment, self.rival) {
            (Some(ack), Some((by, isn))) if by == other && ack.wrapping_sub(1) == isn => {
                let mut half = Half::unheard(other);
                half.isn[other] = Some(isn);
                half.isn[end] = Some(sequence);
                half.heard = [true; 2];
                return Some(Next::Replace(half));
            }
            (Some(ack), _) if !self.sides[end].begun() && self.sides[other].near(ack) => {
                self.isn[end] = Some(sequence);
                return None;
            }
            (None, _) => self.rival = Some((end, sequence)),
            (Some(_), _) => (),
        }
        counters.streams.foreign += 1;
        Some(Next::Foreign)
    }

    fn rst<H: Handler<Connection = C>>(
        &mut self,
        segment: &Segment<'_>,
        end: End,
        counters: &mut Counters,
        handler: &mut H,
    ) -> Next {
        let of_other = || segment.acknowledgment.is_some_and(|ack| self.sides[1 - end].resets(ack));
        if !self.sides[end].resets(segment.sequence) && (self.sides[end].begun() || !of_other()) {
            counters.resets_ignored += 1;
            return Next::Foreign;
        }
        for side in [end, 1 - end] {
            let mut emit = |piece: Piece<'_>| handler.piece(&mut self.connection, side == self.client, piece);
            self.sides[side].reset(segment.time, &mut counters.streams, &mut emit);
        }
        Next::Close(Closed::Reset)
    }

    /// Gives up all holes, and what the handler holds.
    pub(super) fn release<H: Handler<Connection = C>>(
        &mut self,
        at: Duration,
        counters: &mut Counters,
        handler: &mut H,
    ) -> Next {
        for side in [self.client, 1 - self.client] {
            let mut emit = |piece: Piece<'_>| handler.piece(&mut self.connection, side == self.client, piece);
            self.sides[side].release(at, &mut counters.streams, &mut emit);
            if handler.held(&self.connection, side == self.client) > 0 && !self.sides[side].ended() {
                handler.piece(&mut self.connection, side == self.client, Piece::Gap(0, at));
            }
        }
        self.next(handler)
    }

    /// Hands on what is left, and says that it is over.
    pub(super) fn close<H: Handler<Connection = C>>(
        mut self,
        why: Closed,
        at: Duration,
        counters: &mut Counters,
        handler: &mut H,
    ) {
        for side in [self.client, 1 - self.client] {
            let mut emit = |piece: Piece<'_>| handler.piece(&mut self.connection, side == self.client, piece);
            self.sides[side].close(at, &mut counters.streams, &mut emit);
        }
        handler.close(self.connection, why, at);
    }

    fn next<H: Handler<Connection = C>>(&mut self, handler: &H) -> Next {
        self.kept = [true, false].map(|from_client| handler.held(&self.connection, from_client)).iter().sum();
        if self.sides[0].ended() && self.sides[1].ended() { Next::Close(Closed::Finished) } else { Next::Stay }
    }
}
