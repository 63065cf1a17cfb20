//! Extended records of a tar: those of one entry, and those of all entries that follow.

use std::collections::BTreeMap;

/// How the keys of extended attributes begin, and those of access control lists.
pub(super) const ATTRIBUTE: &[u8] = b"SCHILY.xattr.";
const ACL: &[u8] = b"SCHILY.acl.";

/// The most bytes of extended records that hold for all entries: a commit, a character set.
const GLOBAL_LIMIT: usize = 8 << 10;

pub(super) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// `LENGTH KEY=VALUE\n` again and again, by the stated length: a value may hold a line feed.
pub(super) fn parse(mut body: &[u8]) -> Result<Records, String> {
    let mut records = Records::new();
    while !body.is_empty() {
        let space = body.iter().take(20).position(|byte| *byte == b' ').ok_or("an extended record without a length")?;
        let length = std::str::from_utf8(&body[..space])
            .ok()
            .and_then(|digits| digits.parse::<usize>().ok())
            .filter(|length| *length > space + 1 && *length <= body.len())
            .ok_or("an extended record with a wrong length")?;
        let (record, rest) = body.split_at(length);
        let record = record[space + 1..].strip_suffix(b"\n").ok_or("an extended record that does not end its line")?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or("an extended record without a value")?;
        records.insert(record[..equals].to_vec(), record[equals + 1..].to_vec());
        body = rest;
    }
    Ok(records)
}

/// What holds where records came before others: each is replaced by a later one of its name, and taken away by one
/// without a value (POSIX pax, "Extended Header"), after which a header's own field counts again.
pub(super) fn together(before: &Records, after: Records) -> Records {
    let mut records = before.clone();
    records.extend(after);
    records.retain(|_, value| !value.is_empty());
    records
}

/// The records that hold for every entry from here on, with those before. Each entry gets a copy: they are few and
/// short.
pub(super) fn for_all(before: &Records, after: Records) -> Result<Records, String> {
    if after.keys().any(|key| key.starts_with(ATTRIBUTE) || key.starts_with(ACL)) {
        return Err("extended attributes for all files that follow: each file has its own".into());
    }
    let records = together(before, after);
    match extent(&records) {
        kept if kept > GLOBAL_LIMIT => {
            Err(format!("global extended records of {kept} bytes: at most {GLOBAL_LIMIT} are read"))
        }
        _ => Ok(records),
    }
}

/// How many bytes they take.
pub(super) fn extent(records: &Records) -> usize {
    records.iter().map(|(key, value)| key.len() + value.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::super::super::tar::padding;
    use super::super::Reader;
    use crate::layer::entry::Entry;

    /// A header of the user 7 in a file named `a`, and its data.
    fn member(kind: u8, data: &str) -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::new(kind));
        header.as_old_mut().name[0] = b'a';
        header.set_uid(7);
        header.set_size(data.len() as u64);
        header.set_cksum();
        let mut out = header.as_bytes().to_vec();
        out.extend_from_slice(data.as_bytes());
        out.resize(out.len() + padding(data.len() as u64), 0);
        out
    }

    /// The entries, and the error that comes then.
    fn read(members: &[(u8, &str)], of_whole: bool) -> (Vec<Entry>, String) {
        let mut bytes = members.iter().flat_map(|(kind, data)| member(*kind, data)).collect::<Vec<_>>();
        bytes.resize(bytes.len() + 1024, 0);
        let mut reader = if of_whole { Reader::of_whole(&*bytes) } else { Reader::new(&*bytes) };
        let mut entries = Vec::new();
        loop {
            match reader.next_entry() {
                Ok(Some(entry)) => entries.push(entry),
                Ok(None) => return (entries, String::new()),
                Err(error) => return (entries, error.to_string()),
            }
        }
    }

    /// The name and the user of each entry, an error last.
    fn said(members: &[(u8, &str)]) -> Vec<String> {
        let (entries, error) = read(members, false);
        let entries = entries.iter().map(|entry| format!("{} {}", String::from_utf8_lossy(&entry.path), entry.uid));
        entries.chain((!error.is_empty()).then_some(error)).collect()
    }

    /// They were "a uid that is no number", and the root itself.
    #[test]
    fn a_record_without_a_value_takes_the_record_away() {
        for (members, wanted) in [
            (&[(b'x', "7 uid=\n8 path=\n"), (b'0', "")][..], &["a 7"][..]),
            (&[(b'g', "8 uid=1\n"), (b'0', ""), (b'x', "7 uid=\n"), (b'0', ""), (b'0', "")], &["a 1", "a 7", "a 1"]),
            (&[(b'g', "8 uid=1\n"), (b'g', "7 uid=\n"), (b'0', "")], &["a 7"]),
            (&[(b'x', "8 uid=1\n7 uid=\n"), (b'0', "")], &["a 7"]),
            (&[(b'x', "7 uid=\n8 uid=1\n"), (b'0', "")], &["a 1"]),
            (&[(b'x', "22 SCHILY.acl.access=\n"), (b'x', "24 SCHILY.xattr.user.a=\n"), (b'0', "")], &["a 7"]),
        ] {
            assert_eq!(said(members), wanted, "{members:?}");
        }
    }

    /// A later one for all entries won over one of the entry itself.
    #[test]
    fn what_is_said_of_an_entry_counts_more_than_what_is_said_of_all() {
        let members = [(b'x', "8 uid=2\n"), (b'g', "8 uid=1\n"), (b'0', ""), (b'0', "")];
        assert_eq!(said(&members), ["a 2", "a 1"]);
        assert_eq!(said(&[(b'g', "8 uid=1\n"), (b'x', "8 uid=2\n"), (b'0', ""), (b'0', "")]), ["a 2", "a 1"]);
    }

    /// A header of half a kilobyte for each file, and a megabyte of memory: gigabytes for a layer of kilobytes.
    #[test]
    fn records_for_all_files_are_few() {
        let global = |key: &str, size: usize| {
            let record = format!("{} {key}={}\n", size + key.len() + 7, "v".repeat(size));
            read(&[(b'g', &record), (b'0', "")], false)
        };
        let (entries, error) = global("comment", 1000);
        assert_eq!((entries.len(), error.as_str()), (1, ""));
        for (key, size, word) in
            [("comment", 9000, "at most 8192 are read"), ("SCHILY.xattr.user.a", 1000, "attributes for all files")]
        {
            assert!(global(key, size).1.contains(word), "{key}");
        }
    }

    /// GNU tar's `-V` wrote a label, and the archive was one of an unknown type.
    #[test]
    fn a_label_is_passed_over_where_no_runtime_reads_it() {
        let members = [(b'V', ""), (b'x', "8 uid=2\n"), (b'V', ""), (b'0', "")];
        assert_eq!(said(&members), ["a 7"]);
        // Docker and containerd unpack no layer that has one.
        assert!(read(&members, true).1.contains("unknown type 'V'"));
    }
}
