//! The partitions of AWS: clouds of their own, with their own names (AWS General Reference; the SDKs' partitions.json).

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// One of AWS's clouds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Partition {
    /// The commercial regions.
    Aws,
    /// China.
    AwsCn,
    /// `GovCloud`.
    AwsUsGov,
    /// The European Sovereign Cloud.
    AwsEusc,
    /// ISO, United States.
    AwsIso,
    /// ISOB, United States.
    AwsIsoB,
    /// ISOE, Europe.
    AwsIsoE,
    /// ISOF, United States.
    AwsIsoF,
}

/// A name that is no partition's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{0:?} is not a partition: expected aws, aws-cn, aws-us-gov, aws-eusc, aws-iso, aws-iso-b, aws-iso-e or aws-iso-f"
)]
pub struct ParsePartitionError(String);

impl Partition {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Aws,
        Self::AwsCn,
        Self::AwsUsGov,
        Self::AwsEusc,
        Self::AwsIso,
        Self::AwsIsoB,
        Self::AwsIsoE,
        Self::AwsIsoF,
    ];

    /// The partition of a region, by how its name begins; a name that nobody knows yet is a commercial one's, as the
    /// SDKs have it.
    pub fn of_region(region: &str) -> Self {
        let starts = |start| region.starts_with(start);
        match () {
            () if starts("cn-") => Self::AwsCn,
            () if starts("us-gov-") => Self::AwsUsGov,
            () if starts("eusc-") => Self::AwsEusc,
            () if starts("us-isob-") => Self::AwsIsoB,
            () if starts("us-isof-") => Self::AwsIsoF,
            () if starts("us-iso-") => Self::AwsIso,
            () if starts("eu-isoe-") => Self::AwsIsoE,
            () => Self::Aws,
        }
    }

    /// Its name in ARNs.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::AwsCn => "aws-cn",
            Self::AwsUsGov => "aws-us-gov",
            Self::AwsEusc => "aws-eusc",
            Self::AwsIso => "aws-iso",
            Self::AwsIsoB => "aws-iso-b",
            Self::AwsIsoE => "aws-iso-e",
            Self::AwsIsoF => "aws-iso-f",
        }
    }

    /// How the names of its hosts end.
    pub const fn dns_suffix(self) -> &'static str {
        match self {
            Self::Aws | Self::AwsUsGov => "amazonaws.com",
            Self::AwsCn => "amazonaws.com.cn",
            Self::AwsEusc => "amazonaws.eu",
            Self::AwsIso => "c2s.ic.gov",
            Self::AwsIsoB => "sc2s.sgov.gov",
            Self::AwsIsoE => "cloud.adc-e.uk",
            Self::AwsIsoF => "csp.hci.ic.gov",
        }
    }

    /// How the names of those of its API's hosts end that have IPv6 as well.
    pub const fn dual_stack_suffix(self) -> &'static str {
        match self {
            Self::Aws | Self::AwsUsGov => "api.aws",
            Self::AwsCn => "api.amazonwebservices.com.cn",
            Self::AwsEusc => "api.amazonwebservices.eu",
            Self::AwsIso => "api.aws.ic.gov",
            Self::AwsIsoB => "api.aws.scloud",
            Self::AwsIsoE => "api.cloud-aws.adc-e.uk",
            Self::AwsIsoF => "api.aws.hci.ic.gov",
        }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl FromStr for Partition {
    type Err = ParsePartitionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|one| one.id() == text).ok_or_else(|| ParsePartitionError(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_has_a_partition() {
        for (region, partition) in [
            ("eu-central-1", Partition::Aws),
            ("us-east-1", Partition::Aws),
            ("mx-central-1", Partition::Aws),
            ("cn-northwest-1", Partition::AwsCn),
            ("us-gov-west-1", Partition::AwsUsGov),
            ("eusc-de-east-1", Partition::AwsEusc),
            ("us-iso-east-1", Partition::AwsIso),
            ("us-isob-east-1", Partition::AwsIsoB),
            ("eu-isoe-west-1", Partition::AwsIsoE),
            ("us-isof-south-1", Partition::AwsIsoF),
        ] {
            assert_eq!(Partition::of_region(region), partition, "{region}");
        }
    }

    #[test]
    fn a_name_comes_back() {
        for partition in Partition::ALL {
            assert_eq!(partition.to_string().parse(), Ok(partition));
        }
        assert!("AWS".parse::<Partition>().is_err());
    }
}
