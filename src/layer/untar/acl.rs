//! Access control lists: archives have them as text, file systems as an extended attribute (Linux
//! `include/uapi/linux/posix_acl_xattr.h`), and so do layers.
//!
//! Without its list a file with a mask is open to more than its owner meant: its mode shows the mask in the place of
//! the group's rights.

/// The keys of the lists, and the names of the attributes.
pub(super) const KEYS: [(&str, &str); 2] =
    [("SCHILY.acl.access", "system.posix_acl_access"), ("SCHILY.acl.default", "system.posix_acl_default")];

/// The version of the attribute.
const VERSION: u32 = 2;
/// The id of entries that are nobody's by name.
const NOBODY: u32 = u32::MAX;

/// The attribute of a list in the long or short form of acl(5), with numbers as they are or, as star and bsdtar have
/// them, after the rights.
pub(super) fn attribute(text: &[u8]) -> Result<Vec<u8>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "has an access control list that is no text".to_owned())?;
    let mut entries = Vec::new();
    let lines = text.split([',', '\n']).map(|line| line.split('#').next().unwrap_or_default().trim());
    for line in lines.filter(|line| !line.is_empty()) {
        let wrong = || format!("has an access control list with the entry {line:?}, which is none");
        let parts: Vec<&str> = line.split(':').map(str::trim).collect();
        let (tag, name, rights, number) = match parts.as_slice() {
            [tag @ ("mask" | "m" | "other" | "o"), rights] => (*tag, "", *rights, None),
            [tag, name, rights] => (*tag, *name, *rights, None),
            [tag, name, rights, number] => (*tag, *name, *rights, Some(*number)),
            _ => return Err(wrong()),
        };
        let id = || match number.unwrap_or(name).parse::<u32>() {
            Ok(id) => Ok(id),
            Err(_) => Err(format!(
                "has an access control list that names {name:?}, who is nobody here: make the archive with --numeric-owner"
            )),
        };
        let (tag, id) = match (tag, name) {
            ("user" | "u", "") => (0x01, NOBODY),
            ("user" | "u", _) => (0x02, id()?),
            ("group" | "g", "") => (0x04, NOBODY),
            ("group" | "g", _) => (0x08, id()?),
            ("mask" | "m", "") => (0x10, NOBODY),
            ("other" | "o", "") => (0x20, NOBODY),
            _ => return Err(wrong()),
        };
        let mut bits = 0_u16;
        for right in rights.chars() {
            bits |= match right {
                'r' => 4,
                'w' => 2,
                'x' => 1,
                '-' => 0,
                _ => return Err(wrong()),
            };
        }
        entries.push((tag, id, bits));
    }
    // As the kernel wants them.
    entries.sort_unstable();
    let mut out = VERSION.to_le_bytes().to_vec();
    for (tag, id, bits) in entries {
        out.extend_from_slice(&u16::to_le_bytes(tag));
        out.extend_from_slice(&bits.to_le_bytes());
        out.extend_from_slice(&id.to_le_bytes());
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_the_attribute_that_a_file_system_has() {
        let wanted =
            "02000000 0100 0600 ffffffff 0200 0700 e8030000 0400 0400 ffffffff 1000 0700 ffffffff 2000 0400 ffffffff";
        let wanted = hex::decode(wanted.replace(' ', "")).expect("digits");
        for text in [
            "user::rw-,user:1000:rwx,group::r--,mask::rwx,other::r--",
            "user::rw-\nuser:1000:rwx\ngroup::r--\nmask::rwx\nother::r--\n",
            "u::rw-,o::r--,g::r--,m::rwx,u:bob:rwx:1000",
            "user::rw-,user:1000:rwx\t#effective:rwx,group::r--,mask:rwx,other:r--",
        ] {
            assert_eq!(attribute(text.as_bytes()), Ok(wanted.clone()), "{text}");
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in ["user:bob:rwx", "user", "mask:7:rwx", "user::rws", "who::r--", "user:1000000000000:rwx"] {
            assert!(attribute(text.as_bytes()).is_err(), "{text}");
        }
        assert_eq!(
            attribute(b"user:bob:rwx").expect_err("a name"),
            "has an access control list that names \"bob\", who is nobody here: make the archive with --numeric-owner"
        );
    }
}
