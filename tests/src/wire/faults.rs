//! What goes wrong on a cable: by rule, so that it is the same in every run.

use std::collections::VecDeque;

use super::Carried;
use super::cable::count;

/// Frames with data of which every so many-th meets with this, in each direction; 0 is none. Others pass unharmed: a handshake or an
/// acknowledgement that is lost would only make a test wait for a time-out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// It never arrives.
    pub lost: u32,
    /// It arrives twice.
    pub repeated: u32,
    /// It arrives after the [`OVERTAKING`] frames behind it.
    pub late: u32,
}

impl Faults {
    /// Some of each. The numbers have no common factor, so that in time every combination comes.
    pub const ALL: Faults = Faults { lost: 61, repeated: 23, late: 17 };
}

/// How many frames overtake one that is late: enough to be taken for a loss, and sent again.
const OVERTAKING: usize = 4;

/// Frames shorter than this have little data or none.
const DATA: usize = 200;

/// One direction of a cable.
#[derive(Debug, Default)]
pub(super) struct Direction {
    faults: Faults,
    /// Frames with data so far.
    frames: u32,
    /// Those that are late, with how many have yet to overtake them.
    late: VecDeque<(Vec<u8>, usize)>,
}

impl Direction {
    pub(super) fn new(faults: Faults) -> Direction {
        Direction { faults, ..Direction::default() }
    }

    /// Takes a frame, and gives those that arrive, in the order in which they do. `frame` is with what precedes it where the cards offload.
    pub(super) fn pass(&mut self, frame: &[u8], carried: &Carried, mut arrives: impl FnMut(&[u8])) {
        if frame.len() < DATA {
            return arrives(frame);
        }
        self.frames += 1;
        let frames = self.frames;
        let meets = |every: u32| every != 0 && frames.is_multiple_of(every);
        if meets(self.faults.lost) {
            count(&carried.lost);
        } else if meets(self.faults.late) {
            count(&carried.late);
            self.late.push_back((frame.to_vec(), OVERTAKING));
            return;
        } else {
            arrives(frame);
            if meets(self.faults.repeated) {
                count(&carried.repeated);
                arrives(frame);
            }
        }
        self.late.iter_mut().for_each(|(_, left)| *left -= 1);
        while self.late.front().is_some_and(|(_, left)| *left == 0)
            && let Some((frame, _)) = self.late.pop_front()
        {
            arrives(&frame);
        }
    }

    /// Nothing follows that could overtake what is late.
    pub(super) fn flush(&mut self, mut arrives: impl FnMut(&[u8])) {
        self.late.drain(..).for_each(|(frame, _)| arrives(&frame));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.late.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames by their numbers.
    fn passed(faults: Faults, count: u8) -> (Vec<u8>, Carried) {
        let (mut direction, carried, mut arrived) = (Direction::new(faults), Carried::default(), Vec::new());
        for number in 1..=count {
            direction.pass(&[number; DATA], &carried, |frame| arrived.push(frame[0]));
            // Not counted, and not harmed.
            direction.pass(&[0; 60], &carried, |frame| assert_eq!(frame, [0; 60]));
        }
        direction.flush(|frame| arrived.push(frame[0]));
        (arrived, carried)
    }

    #[test]
    fn each_fault_comes_by_its_rule() {
        assert_eq!(passed(Faults::default(), 4).0, [1, 2, 3, 4]);
        assert_eq!(passed(Faults { lost: 3, ..Faults::default() }, 7).0, [1, 2, 4, 5, 7]);
        assert_eq!(passed(Faults { repeated: 2, ..Faults::default() }, 5).0, [1, 2, 2, 3, 4, 4, 5]);
        assert_eq!(passed(Faults { late: 2, ..Faults::default() }, 3).0, [1, 3, 2]);
        assert_eq!(passed(Faults { late: 6, ..Faults::default() }, 11).0, [1, 2, 3, 4, 5, 7, 8, 9, 10, 6, 11]);
        let (arrived, carried) = passed(Faults { lost: 4, repeated: 3, late: 5 }, 10);
        assert_eq!(arrived, [1, 2, 3, 3, 6, 6, 7, 9, 9, 5, 10]);
        let counts =
            [&carried.lost, &carried.repeated, &carried.late].map(|n| n.load(std::sync::atomic::Ordering::Relaxed));
        assert_eq!(counts, [2, 3, 2]);
    }
}
