//! The regions that there are, as far as this version knows: to tell a misspelled one, never to refuse a new one.

/// The regions of all partitions (the SDKs' partitions.json, 2026).
const REGIONS: [&str; 46] = [
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "cn-north-1",
    "cn-northwest-1",
    "eu-central-1",
    "eu-central-2",
    "eu-isoe-west-1",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eusc-de-east-1",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-iso-east-1",
    "us-iso-west-1",
    "us-isob-east-1",
    "us-isob-west-1",
    "us-isof-east-1",
    "us-isof-south-1",
    "us-west-1",
    "us-west-2",
];

/// What is to be said of a region that is not known, where an API of it is not reached; `None` of one that is.
pub fn doubt(region: &str) -> Option<String> {
    /// More slips than these make another word.
    const SLIPS: usize = 3;
    if REGIONS.contains(&region) {
        return None;
    }
    let near = REGIONS.iter().map(|known| (strsim::damerau_levenshtein(region, known), known));
    let likely = near.min().filter(|(slips, _)| *slips <= SLIPS);
    let meant = likely.map_or_else(String::new, |(_, known)| format!(": {known} is probably meant"));
    Some(format!("{region} is no region that is known{meant}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_region_is_told_with_the_one_that_is_meant() {
        let meant = |region: &str, known: &str| {
            assert_eq!(doubt(region), Some(format!("{region} is no region that is known: {known} is probably meant")));
        };
        meant("eu-centrl-1", "eu-central-1");
        meant("eu-central", "eu-central-1");
        meant("us-esat-1", "us-east-1");
        assert_eq!(doubt("eu-central-1"), None);
        assert_eq!(doubt("frankfurt"), Some("frankfurt is no region that is known".into()));
        assert!(REGIONS.is_sorted());
    }
}
