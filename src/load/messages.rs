//! `Messages`: the bytes of the requests, and the check of the answers.
//!
//! It counts nothing. The state of one connection is an [`Exchange`].

use std::sync::Arc;

use thiserror::Error;

use crate::codec::Framing;
use crate::service::{Context, Service};

use super::counters::Request;
use super::delimiter::Delimiter;
use super::distribution::Lengths;
use super::exchange::Exchange;
use super::pattern::{CHUNK_LEN_MAX, Pattern};
use super::plan::{ExpectedAnswer, MESSAGE_LEN_MAX, Plan, Verify};

/// Requests and answers of a run.
pub(super) struct Messages {
    framing: Framing,
    pattern: Pattern,
    lengths: Lengths,
    /// The bytes of every request, if they are not a part of the pattern.
    request: Option<Arc<[u8]>>,
    answer: AnswerCheck,
}

/// How answers are checked.
enum AnswerCheck {
    /// The bytes of the requests.
    Echo,
    /// As many bytes as the requests have.
    EchoLength,
    Bytes(Arc<[u8]>),
    Length(usize),
    Until(Delimiter),
}

/// Why an answer is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum Mismatch {
    /// Bytes that belong to no request.
    #[error("received more bytes than expected")]
    Excess,
    /// A frame of this wrong length.
    #[error("received a frame of {0} bytes, which is not the length of a request")]
    FrameLen(usize),
    /// Other bytes than expected.
    #[error("received other bytes than expected")]
    Bytes,
    /// No delimiter in the longest permitted answer.
    #[error("received {MESSAGE_LEN_MAX} bytes of an answer without the expected delimiter")]
    Endless,
}

impl Messages {
    pub(super) fn new(plan: &Plan) -> Self {
        let lengths = plan.lengths();
        let answer = match (&plan.answer, &plan.request, plan.verify) {
            (ExpectedAnswer::Echo, None, Verify::EveryByte) => AnswerCheck::Echo,
            (ExpectedAnswer::Echo, None, Verify::Length) => AnswerCheck::EchoLength,
            (ExpectedAnswer::Bytes(bytes), _, Verify::EveryByte)
            | (ExpectedAnswer::Echo, Some(bytes), Verify::EveryByte) => AnswerCheck::Bytes(bytes.clone()),
            (ExpectedAnswer::Bytes(bytes), _, Verify::Length) | (ExpectedAnswer::Echo, Some(bytes), Verify::Length) => {
                AnswerCheck::Length(bytes.len())
            }
            (ExpectedAnswer::Length(len), ..) => AnswerCheck::Length(*len),
            (ExpectedAnswer::Until(delimiter), ..) => AnswerCheck::Until(Delimiter::new(delimiter)),
        };
        Self {
            framing: plan.framing,
            pattern: Pattern::new(plan.framing),
            lengths,
            request: plan.request.clone(),
            answer,
        }
    }

    /// Missing bytes of answer `number` on connection `serial`, of which none was received. If a delimiter ends
    /// it, the most bytes that it may have.
    #[inline]
    pub(super) fn answer_len(&self, serial: u64, number: u64) -> usize {
        match &self.answer {
            AnswerCheck::Echo | AnswerCheck::EchoLength => self.lengths.of_request(serial, number),
            AnswerCheck::Bytes(bytes) => bytes.len(),
            AnswerCheck::Length(len) => *len,
            AnswerCheck::Until(_) => MESSAGE_LEN_MAX,
        }
    }

    /// Queues the bytes of the last request in flight.
    #[inline]
    pub(super) fn send<S: Service<Codec = Framing>>(&self, exchange: &mut Exchange, cx: &mut Context<'_, S>) {
        if let Some(request) = &self.request {
            return cx.send(request);
        }
        let len = self.lengths.of_request(exchange.serial, exchange.sent - 1);
        let mut chunks = self.pattern.chunks(&mut exchange.write_at, len);
        if len <= CHUNK_LEN_MAX || matches!(self.framing, Framing::Raw(_)) {
            // Without framing, a message may be cut anywhere.
            chunks.for_each(|chunk| cx.send(chunk));
        } else {
            let mut parts = Vec::with_capacity(len.div_ceil(CHUNK_LEN_MAX));
            parts.extend(&mut chunks);
            cx.send_parts(&parts);
        }
    }

    /// Checks received bytes, and calls `answered` for each request that they complete.
    #[inline]
    pub(super) fn receive(
        &self,
        exchange: &mut Exchange,
        mut bytes: &[u8],
        mut answered: impl FnMut(Request),
    ) -> Result<(), Mismatch> {
        if !matches!(self.framing, Framing::Raw(_)) && bytes.len() != exchange.missing {
            return Err(Mismatch::FrameLen(bytes.len()));
        }
        if let AnswerCheck::Echo = self.answer {
            // All answers in one read are compared at once.
            if !self.pattern.matches(&mut exchange.read_at, bytes) {
                return Err(Mismatch::Bytes);
            }
            if bytes.len() == exchange.missing
                && let Some(request) = exchange.in_flight.pop_front()
            {
                // The usual read: one whole answer.
                answered(request);
                exchange.missing = self.answer_len(exchange.serial, exchange.answered());
                return Ok(());
            }
        }
        while !bytes.is_empty() {
            if exchange.in_flight.is_empty() {
                return Err(Mismatch::Excess);
            }
            let (len, is_complete) = self.next_part(exchange, bytes)?;
            exchange.missing -= len;
            bytes = &bytes[len..];
            if is_complete {
                exchange.in_flight.pop_front().into_iter().for_each(&mut answered);
                exchange.missing = self.answer_len(exchange.serial, exchange.answered());
            }
        }
        Ok(())
    }

    /// Length of the part of `bytes` that belongs to the oldest answer, and whether the answer ends with it.
    #[inline]
    fn next_part(&self, exchange: &mut Exchange, bytes: &[u8]) -> Result<(usize, bool), Mismatch> {
        let missing = exchange.missing;
        let len = bytes.len().min(missing);
        match &self.answer {
            AnswerCheck::Echo | AnswerCheck::EchoLength | AnswerCheck::Length(_) => {}
            AnswerCheck::Bytes(expected) if expected[expected.len() - missing..].starts_with(&bytes[..len]) => {}
            AnswerCheck::Bytes(_) => return Err(Mismatch::Bytes),
            AnswerCheck::Until(delimiter) => {
                return match delimiter.end_in(&bytes[..len], &mut exchange.matched) {
                    Some(end) => Ok((end, true)),
                    None if len < missing => Ok((len, false)),
                    None => Err(Mismatch::Endless),
                };
            }
        }
        Ok((len, len == missing))
    }
}

#[cfg(test)]
mod tests;
