//! `TrialPlace`: what all trials of a comparison have in common.

use super::certificate::Certificate;
use crate::child::Interrupt;
use crate::report::comparison::Cores;

/// The cores, the certificate and the interrupt of all trials.
#[derive(Clone, Copy)]
pub(super) struct TrialPlace<'a> {
    pub(super) cores: &'a Cores,
    /// With `--tls`.
    pub(super) certificate: Option<&'a Certificate>,
    pub(super) interrupt: &'a Interrupt,
}
