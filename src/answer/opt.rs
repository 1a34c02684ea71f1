//! The OPT record of a reply: sizes, DO, and the options that were asked for or that explain (RFC 6891 §6.1).

use crate::answer::code::{ExtendedError, Rcode};
use crate::answer::context::Transport;
use crate::answer::snapshot::Settings;
use crate::wire::Type;
use crate::wire::message::{Edns, OPT_BYTES, option};

/// Octets of an option in front of its data: code, length.
const OPTION_HEAD_BYTES: usize = 4;
/// The longest NSID that is sent.
const NSID_BYTES_MAX: usize = 255;
/// Octets of data of the keepalive and the extended-error option (RFC 7828 §3.1, RFC 8914 §2, without text).
const SHORT_DATA_BYTES: usize = 2;

/// Octets of data of the EXPIRE option.
const EXPIRE_DATA_BYTES: usize = 4;
/// Octets of data of the ZONEVERSION option.
const ZONEVERSION_DATA_BYTES: usize = 6;
/// Octets of which padded replies have a multiple (RFC 8467 §4.1).
const PADDING_BLOCK: usize = 468;
/// The version type SOA-SERIAL (RFC 9660 §7.2).
const SOA_SERIAL: u8 = 0;

/// What was asked for besides, and is said in the OPT record.
#[derive(Clone, Copy, Default)]
pub(super) struct OptExtras {
    /// Seconds until it expires (RFC 7314).
    pub(super) expire: Option<u32>,
    /// Its version (RFC 9660).
    pub(super) version: Option<ZoneVersion>,
    /// Whether the reply is padded (RFC 7830).
    pub(super) is_padded: bool,
}

/// The version of a zone.
#[derive(Clone, Copy)]
pub(super) struct ZoneVersion {
    /// Labels of the zone's name, the root not counted.
    pub(super) label_count: u8,
    /// The serial of its SOA.
    pub(super) serial: u32,
}

impl ZoneVersion {
    /// The data of the option (RFC 9660 §2): LABELCOUNT, TYPE, VERSION.
    fn octets(self) -> [u8; ZONEVERSION_DATA_BYTES] {
        let [s0, s1, s2, s3] = self.serial.to_be_bytes();
        [self.label_count, SOA_SERIAL, s0, s1, s2, s3]
    }
}

/// The OPT record of a reply before it is written; none where the query had none.
pub(super) struct Opt<'s> {
    /// What our OPT says, whatever the query; `None` where there is no record.
    payload_bytes_max: Option<u16>,
    is_dnssec_ok: bool,
    extended_rcode: u8,
    nsid: Option<&'s [u8]>,
    keepalive: Option<u16>,
    extras: OptExtras,
    extended_error: Option<u16>,
    /// Octets of padding, if there is any.
    padding_bytes: Option<u16>,
    /// Octets of the record so far.
    length: usize,
}

impl<'s> Opt<'s> {
    /// Answers the OPT of a query, within `space` octets: options that do not fit are left out.
    pub(super) fn new(edns: Option<&Edns>, settings: &'s Settings, transport: Transport, space: usize) -> Self {
        let mut opt = Self {
            payload_bytes_max: edns.map(|_| settings.udp_payload_bytes_max),
            is_dnssec_ok: edns.is_some_and(|edns| edns.is_dnssec_ok),
            extended_rcode: 0,
            nsid: None,
            keepalive: None,
            extras: OptExtras::default(),
            extended_error: None,
            padding_bytes: None,
            length: if edns.is_some() { OPT_BYTES } else { 0 },
        };
        let Some(edns) = edns else { return opt };
        if let (true, Some(identity)) = (edns.wants_nsid, &settings.identity) {
            let nsid = &identity[..identity.len().min(NSID_BYTES_MAX)];
            opt.nsid = opt.reserve(nsid.len(), space).then_some(nsid);
        }
        // A server must not send it over UDP (RFC 7828 §3.3.2).
        if edns.wants_keepalive && transport == Transport::Tcp && opt.reserve(SHORT_DATA_BYTES, space) {
            opt.keepalive = Some(settings.tcp_idle_timeout_100ms);
        }
        opt
    }

    /// Says of the zone what fits.
    #[inline]
    pub(super) fn set_facts(&mut self, extras: OptExtras, space: usize) {
        let has_opt = self.payload_bytes_max.is_some();
        self.extras.expire = extras.expire.filter(|_| has_opt && self.reserve(EXPIRE_DATA_BYTES, space));
        self.extras.version = extras.version.filter(|_| has_opt && self.reserve(ZONEVERSION_DATA_BYTES, space));
    }

    /// Makes the record longer by an option with so many octets of data, if it then still has at most `space` octets;
    /// whether it does.
    fn reserve(&mut self, data_bytes: usize, space: usize) -> bool {
        let end = self.length + OPTION_HEAD_BYTES + data_bytes;
        let is_fitting = end <= space;
        if is_fitting {
            self.length = end;
        }
        is_fitting
    }

    /// Sets the extended RCODE, and the extended error where the record then still has at most `space` octets.
    pub(super) fn conclude(&mut self, rcode: Rcode, extended_error: Option<ExtendedError>, space: usize) {
        if self.payload_bytes_max.is_none() {
            return;
        }
        self.extended_rcode = rcode.high();
        if let Some(ExtendedError(code)) = extended_error {
            self.extended_error = self.reserve(SHORT_DATA_BYTES, space).then_some(code);
        }
    }

    /// Pads a reply that has `written` octets besides to a multiple of [`PADDING_BLOCK`], or as far as `space` goes for
    /// the record.
    pub(super) fn pad(&mut self, written: usize, space: usize) {
        let bare = written + self.length + OPTION_HEAD_BYTES;
        let wanted = bare.next_multiple_of(PADDING_BLOCK) - bare;
        let padding_bytes = wanted.min(space.saturating_sub(self.length + OPTION_HEAD_BYTES));
        let has_opt = self.payload_bytes_max.is_some();
        self.padding_bytes = (has_opt && self.reserve(padding_bytes, space)).then_some(padding_bytes as u16);
    }

    /// Octets of the record; 0 where there is none.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Writes the record into `out`, which has [`Self::len`] octets.
    ///
    /// ```text
    /// 00 | TYPE 41 | CLASS: our payload size
    /// TTL: extended RCODE (8), version (8), DO (1), Z (15) | RDLENGTH | options
    /// ```
    #[inline]
    pub(super) fn write(&self, out: &mut [u8]) {
        let (Some(payload_bytes_max), Some((head, options))) = (self.payload_bytes_max, out.split_first_chunk_mut())
        else {
            return;
        };
        let [size_high, size_low] = payload_bytes_max.to_be_bytes();
        let [length_high, length_low] = (options.len() as u16).to_be_bytes();
        let flags = if self.is_dnssec_ok { 0x80 } else { 0 };
        let [_, rtype] = Type::OPT.0.to_be_bytes();
        *head = [0, 0, rtype, size_high, size_low, self.extended_rcode, 0, flags, 0, length_high, length_low];
        if !options.is_empty() {
            self.write_options(options);
        }
    }

    /// Writes the options.
    fn write_options(&self, mut out: &mut [u8]) {
        let mut put = |code: u16, data: &[u8]| {
            let (option, behind) = core::mem::take(&mut out).split_at_mut(OPTION_HEAD_BYTES + data.len());
            option[0..2].copy_from_slice(&code.to_be_bytes());
            option[2..4].copy_from_slice(&(data.len() as u16).to_be_bytes());
            option[4..].copy_from_slice(data);
            out = behind;
        };
        if let Some(nsid) = self.nsid {
            put(option::NSID, nsid);
        }
        if let Some(expire) = self.extras.expire {
            put(option::EXPIRE, &expire.to_be_bytes());
        }
        if let Some(keepalive) = self.keepalive {
            put(option::TCP_KEEPALIVE, &keepalive.to_be_bytes());
        }
        if let Some(version) = self.extras.version {
            put(option::ZONEVERSION, &version.octets());
        }
        if let Some(extended_error) = self.extended_error {
            put(option::EXTENDED_ERROR, &extended_error.to_be_bytes());
        }
        if let Some(padding_bytes) = self.padding_bytes {
            let (option, padding) = out.split_at_mut(OPTION_HEAD_BYTES);
            option[0..2].copy_from_slice(&option::PADDING.to_be_bytes());
            option[2..4].copy_from_slice(&padding_bytes.to_be_bytes());
            padding.fill(0);
        }
    }
}
