//! A request for a page and its reply (RFC 9112): pure. HTTP/1.0 is spoken, so that the page comes in one piece and the
//! connection ends behind it.

/// Writes the request.
pub(super) fn request(host: &str, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: fated\r\nAccept: */*\r\nConnection: close\r\n\r\n")
        .into_bytes()
}

/// The status of a reply; `None` where it is none of HTTP.
pub(super) fn status(reply: &[u8]) -> Option<u16> {
    let rest = reply.strip_prefix(b"HTTP/1.")?;
    let [b'0' | b'1', b' ', digits @ ..] = rest else { return None };
    let (digits, behind) = digits.split_at_checked(3)?;
    let is_end = matches!(behind.first(), Some(b' ' | b'\r'));
    std::str::from_utf8(digits)
        .ok()
        .filter(|digits| is_end && digits.bytes().all(|digit| digit.is_ascii_digit()))?
        .parse()
        .ok()
}

/// Whether the page holds a text.
pub(super) fn has_text(reply: &[u8], text: &str) -> bool {
    let head = reply.windows(4).position(|window| window == b"\r\n\r\n");
    let body = head.and_then(|head| reply.get(head + 4..)).unwrap_or_default();
    text.is_empty() || body.windows(text.len()).any(|window| window == text.as_bytes())
}
