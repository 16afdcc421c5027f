//! The formats that stand beside the protocol's frames: streams over a pipe, QUIC beside one, what a file's attributes
//! store, rules of filters, and lists of chunks.

use std::collections::{BTreeMap, BTreeSet};

use sparsync_proto::beside::{Ask, Offer};
use sparsync_proto::delta::{Chunk, Match, Piece, Recipe};
use sparsync_proto::mux::{
    Arrival, CHUNK_COST, CREDIT_MAX, HEADER_BYTES, Header, Ledger, SESSIONS_MAX, StreamId, granted_at_first,
};
use sparsync_proto::{
    ACL_ACCESS, ACL_DEFAULT, FakeStat, Kind, Pattern, Prefixes, Said, Style, acl_as, acl_ids, acl_of_stored, acl_under,
    carried_acl, name_of_stored, parse_file, stored_acl, stored_name,
};

/// The frames of a pipe, said to the end that accepts sessions, which leaves one and grants bytes now and then. No more
/// bytes come through than a second account has granted.
pub(super) fn streams(data: &[u8]) {
    let Some((&habits, data)) = data.split_first() else { return };
    let mut ledger = if habits & 1 == 0 { Ledger::new(false) } else { Ledger::of_one_question() };
    let mut room: BTreeMap<(u32, u8), u64> = BTreeMap::new();
    for (turn, bytes) in data.chunks_exact(HEADER_BYTES).enumerate() {
        let Ok(header) = Header::decode(bytes.try_into().expect("a header")) else { return };
        assert_eq!(&header.encode()[..], bytes);
        let said = match header {
            Header::Data(id, bytes) => ledger.data(id, bytes).inspect(|arrival| {
                // What comes for a session that is over is dropped, and uses up nothing.
                if *arrival != Arrival::Gone {
                    use_up(&mut room, id, bytes);
                }
            }),
            Header::End(id) => ledger.end(id),
            Header::Credit(id, bytes) => {
                assert!(bytes <= CREDIT_MAX);
                ledger.credit(id)
            }
            Header::Stop(session) => ledger.stop(session),
            _ => continue,
        };
        if said.is_err() {
            return;
        }
        let sessions: BTreeSet<u32> = room.keys().map(|(session, _)| *session).collect();
        if turn % 7 == 6 {
            for session in sessions.iter().take(usize::from(habits) % SESSIONS_MAX) {
                ledger.leave(*session);
            }
        } else if let Some(&session) = sessions.last() {
            let id = StreamId { session, stream: habits % 3 };
            if ledger.grant(id, u32::from(habits) << 8) {
                *room.entry((id.session, id.stream)).or_insert_with(|| first(id)) += u64::from(habits) << 8;
            }
        }
    }
}

fn first(id: StreamId) -> u64 {
    granted_at_first(true, id.stream).into()
}

fn use_up(room: &mut BTreeMap<(u32, u8), u64>, id: StreamId, bytes: u32) {
    let left = room.entry((id.session, id.stream)).or_insert_with(|| first(id));
    let cost = u64::from(bytes) + u64::from(CHUNK_COST);
    *left = left.checked_sub(cost).expect("no more bytes come than were granted");
}

/// What is said about QUIC beside a pipe.
pub(super) fn beside(data: &[u8]) {
    if let Ok(ask) = Ask::decode(data) {
        assert_eq!(&ask.encode()[..], data);
        assert!(ask.ports.0 <= ask.ports.1);
    }
    if let Ok(offer) = Offer::decode(data) {
        assert_eq!(Offer::decode(&offer.encode()), Ok(offer));
        assert_ne!(offer.port, 0);
    }
}

/// Attributes as they are stored: ACLs in the kernel's form, and what a server without rights keeps for them.
pub(super) fn stored(data: &[u8]) {
    if let Some(stat) = FakeStat::read(data) {
        assert_eq!(FakeStat::read(&stat.written()), Some(stat));
    }
    if let Some(name) = name_of_stored(data) {
        assert_eq!(name_of_stored(&stored_name(name)), Some(name));
    }
    for name in [ACL_ACCESS, ACL_DEFAULT] {
        let Ok(carried) = carried_acl(name, data) else { continue };
        if let Some(carried) = carried {
            assert_eq!(carried_acl(name, &carried), Ok(Some(carried.clone())), "there is one form");
        }
        assert_eq!(acl_ids(&acl_as(data, |_, id| id)).count(), acl_ids(data).count());
        let value = acl_under(name, data, 0o750).expect("it was read");
        let stored = stored_acl(name, &value).expect("the kernel's form");
        let back = acl_of_stored(&stored, 0o750).expect("what was stored can be read");
        assert_eq!(carried_acl(name, &back), carried_acl(name, &value));
    }
    if let Some(acl) = acl_of_stored(data, 0o640) {
        assert!(carried_acl(ACL_ACCESS, &acl).is_ok(), "what is handed to the kernel is an ACL");
    }
}

/// A file of rules, in each way in which such a file is written. Each rule compares, and reads its own text.
pub(super) fn filter(data: &[u8]) {
    let Some((&habits, content)) = data.split_first() else { return };
    let include = habits & 1 == 0;
    let prefixes = match habits >> 1 & 3 {
        0 => Prefixes::None { include },
        1 => Prefixes::Optional { include },
        _ => Prefixes::Rules,
    };
    let (word_split, cvs, from0) = (habits & 8 == 8, habits & 16 == 16, habits & 32 == 32);
    let style = Style { prefixes, word_split, cvs, from0, ..Style::default() };
    let Ok(rules) = parse_file(content, &style) else { return };
    let lines = content.iter().filter(|byte| matches!(byte, b'\n' | b'\r' | 0)).count() + 1;
    let path = [b"/", content.get(..200).unwrap_or(content), b"/"].concat();
    for (line, said) in rules {
        assert!(usize::try_from(line).is_ok_and(|line| line <= lines), "line {line} of {lines}");
        if let Said::Rule(rule) = said {
            let pattern = Pattern::new(&rule.pattern);
            for kind in [Kind::File, Kind::Directory] {
                let _ = pattern.matches(&path, 1, kind);
            }
        }
    }
}

/// How often one of one's own chunks is looked up at most, whatever a peer has listed.
const LOOKS_MAX: u64 = 2;

/// A list of chunks that a peer holds, compared with one's own pieces: each own byte is sent by one part of the recipe,
/// and no chunk is named that was not told.
pub(super) fn chunks(data: &[u8]) {
    let Some((&habits, data)) = data.split_first() else { return };
    let listed: Vec<Chunk> = data
        .chunks_exact(4)
        .map(|bytes| Chunk { digest: [bytes[0] & 7; 16], bytes: u64::from(bytes[1]) << (bytes[2] & 63) })
        .collect();
    let own: Vec<Piece> = data
        .chunks_exact(3)
        .take(256)
        .map(|bytes| Piece { digest: [bytes[0] & 7; 32], bytes: u64::from(bytes[1]) + 1, is_hole: bytes[2] == 0 })
        .collect();
    let bytes: u64 = own.iter().map(|piece| piece.bytes).sum();
    let (count, told) = (own.len() as u64, listed.len());
    let mut matching = Match::new(own, 0, &listed, habits & 1 == 1);
    let (asked, _) = matching.asked();
    assert!(asked.is_sorted() && asked.iter().all(|&number| (number as usize) < told));
    matching.take_chunks(&listed);
    let lacking: Vec<_> = matching.lacking().collect();
    for (number, at, bytes) in lacking {
        let chunk = |digest: u64, bytes| Chunk { digest: [u8::try_from(digest & 7).unwrap_or_default(); 16], bytes };
        matching.made_of(number, at, &[chunk(bytes, bytes / 2), chunk(at, bytes - bytes / 2)]);
    }
    assert!(matching.looks() <= 3 * count * LOOKS_MAX, "{} looks for {count} pieces", matching.looks());
    let sent: u64 = matching
        .recipe()
        .iter()
        .map(|part| match part {
            Recipe::Hole { bytes } | Recipe::Pieces { bytes, .. } => *bytes,
            Recipe::Made(spans) => spans.iter().map(|span| span.bytes()).sum(),
        })
        .sum();
    assert_eq!(sent, bytes);
}
