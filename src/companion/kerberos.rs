//! A request to a KDC and what is a reply to it (RFC 4120 §5.4.1, §5.9.1): pure.

use super::asn1::{
    BIT_STRING, GENERAL_STRING, GENERALIZED_TIME, INTEGER, SEQUENCE, context, expect, integer, number, take, value,
};

/// AS-REQ and its type.
const AS_REQ: (u8, u32) = (0x6A, 10);
/// AS-REP.
const AS_REP: (u8, i32) = (0x6B, 11);
/// KRB-ERROR.
const KRB_ERROR: (u8, i32) = (0x7E, 30);
/// The version of the protocol.
const VERSION: u32 = 5;
/// NT-PRINCIPAL and NT-SRV-INST (§6.2).
const NAME_TYPES: (u32, u32) = (1, 2);
/// As long as the KDC likes (§5.4.1).
const TILL: &[u8] = b"19700101000000Z";
/// aes256-cts-hmac-sha1-96 and aes128-cts-hmac-sha1-96, which every KDC knows (RFC 3962).
const ENCRYPTION_TYPES: [u32; 2] = [18, 17];

/// Writes the request for a ticket-granting ticket.
pub(super) fn request(realm: &str, principal: &str, nonce: u32) -> Vec<u8> {
    let string = |text: &str| value(GENERAL_STRING, &[text.as_bytes()]);
    let name = |kind: u32, parts: &[&str]| {
        let parts: Vec<u8> = parts.iter().flat_map(|part| string(part)).collect();
        value(SEQUENCE, &[&context(0, &integer(kind)), &context(1, &value(SEQUENCE, &[&parts]))])
    };
    let types: Vec<u8> = ENCRYPTION_TYPES.into_iter().flat_map(integer).collect();
    let body = value(
        SEQUENCE,
        &[
            // No options: 32 clear bits.
            &context(0, &value(BIT_STRING, &[&[0; 5]])),
            &context(1, &name(NAME_TYPES.0, &[principal])),
            &context(2, &string(realm)),
            &context(3, &name(NAME_TYPES.1, &["krbtgt", realm])),
            &context(5, &value(GENERALIZED_TIME, &[TILL])),
            // The KDC takes 32 bits with a sign.
            &context(7, &integer(nonce >> 1)),
            &context(8, &value(SEQUENCE, &[&types])),
        ],
    );
    let request =
        value(SEQUENCE, &[&context(1, &integer(VERSION)), &context(2, &integer(AS_REQ.1)), &context(4, &body)]);
    value(AS_REQ.0, &[&request])
}

/// Whether a message is a well-formed reply of a KDC: an error with all that an error must have, whatever it says, or a
/// ticket.
pub(super) fn is_reply(mut message: &[u8]) -> bool {
    let Some((tag, mut outer)) = take(&mut message).filter(|_| message.is_empty()) else { return false };
    let Some(mut fields) = expect(&mut outer, SEQUENCE).filter(|_| outer.is_empty()) else { return false };
    let (kind, needed): (i32, &[u8]) = match tag {
        // stime, susec, error-code, realm, sname; crealm, cname, ticket, enc-part.
        tag if tag == KRB_ERROR.0 => (KRB_ERROR.1, &[4, 5, 6, 9, 10]),
        tag if tag == AS_REP.0 => (AS_REP.1, &[3, 4, 5, 6]),
        _ => return false,
    };
    let mut found = [false; 32];
    let mut last = None;
    while !fields.is_empty() {
        let Some((tag, mut content)) = take(&mut fields) else { return false };
        let field = tag & 0x1F;
        if tag & 0xE0 != 0xA0 || last.is_some_and(|last| last >= field) {
            return false;
        }
        let is_right = match field {
            0 => expect(&mut content, INTEGER).and_then(number) == Some(VERSION.cast_signed()),
            1 => expect(&mut content, INTEGER).and_then(number) == Some(kind),
            _ => take(&mut content).is_some(),
        };
        if !is_right || !content.is_empty() {
            return false;
        }
        (found[usize::from(field)], last) = (true, Some(field));
    }
    found[0] && found[1] && needed.iter().all(|field| found[usize::from(*field)])
}
