//! The hosts of ECR: which registry a host name stands for.
//!
//! The forms are those of AWS's own credential helper (amazon-ecr-credential-helper, `ecr-login/api/client.go`), and
//! the dual-stack host of the European Sovereign Cloud, which it does not know.

use super::partition::Partition;

/// A registry that everybody has one of, or the public one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An account's own registry in a region.
    Private,
    /// Amazon ECR Public.
    Public,
}

/// What the name of an ECR host says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EcrHost {
    /// The twelve digits of the account; the public registry's host names none.
    pub account: Option<String>,
    /// The region; the public registry's API is in us-east-1 alone.
    pub region: String,
    /// The cloud that the region is in.
    pub partition: Partition,
    /// An account's own registry or the public one.
    pub kind: Kind,
    /// Whether it is the endpoint whose cryptography is validated by FIPS 140.
    pub fips: bool,
    /// Whether it is the endpoint that has IPv6 as well.
    pub dual_stack: bool,
}

/// How the hosts of registries end, whether they have IPv6 as well, and whose they are. `GovCloud` shares the names of
/// the commercial regions.
const SUFFIXES: [(&str, bool, Partition); 10] = [
    ("amazonaws.com", false, Partition::Aws),
    ("on.aws", true, Partition::Aws),
    ("amazonaws.com.cn", false, Partition::AwsCn),
    ("on.amazonwebservices.com.cn", true, Partition::AwsCn),
    ("amazonaws.eu", false, Partition::AwsEusc),
    ("on.amazonwebservices.eu", true, Partition::AwsEusc),
    ("c2s.ic.gov", false, Partition::AwsIso),
    ("sc2s.sgov.gov", false, Partition::AwsIsoB),
    ("cloud.adc-e.uk", false, Partition::AwsIsoE),
    ("csp.hci.ic.gov", false, Partition::AwsIsoF),
];

impl EcrHost {
    /// What a registry's host says, as it stands in a reference; `None` where it is not ECR's.
    pub fn parse(host: &str) -> Option<Self> {
        let host = host.to_ascii_lowercase();
        if let dual_stack @ ("public.ecr.aws" | "ecr-public.aws.com") = host.as_str() {
            return Some(Self {
                account: None,
                region: "us-east-1".into(),
                partition: Partition::Aws,
                kind: Kind::Public,
                fips: false,
                dual_stack: dual_stack == "ecr-public.aws.com",
            });
        }
        let (account, rest) = host.split_once('.')?;
        if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let (service, rest) = match rest.strip_prefix("dkr.") {
            Some(rest) => rest.split_once('.')?,
            None => rest.strip_prefix("dkr-")?.split_once('.')?,
        };
        let fips = match service {
            "ecr" => false,
            "ecr-fips" => true,
            _ => return None,
        };
        let (region, suffix) = rest.split_once('.')?;
        if !is_region(region) {
            return None;
        }
        let (_, dual_stack, partition) = SUFFIXES.into_iter().find(|(known, ..)| *known == suffix)?;
        // `dkr-ecr` goes with IPv6 and `dkr.ecr` without; a host that mixes them is nobody's.
        if host[account.len()..].starts_with(".dkr-") != dual_stack {
            return None;
        }
        let partition = match Partition::of_region(region) {
            gov @ Partition::AwsUsGov if partition == Partition::Aws => gov,
            _ => partition,
        };
        Some(Self {
            account: Some(account.into()),
            region: region.into(),
            partition,
            kind: Kind::Private,
            fips,
            dual_stack,
        })
    }

    /// The host of the API that goes with it: the same region, FIPS and IPv6 as the registry's.
    pub fn api_host(&self) -> String {
        let Self { region, partition, .. } = self;
        let suffix = if self.dual_stack { partition.dual_stack_suffix() } else { partition.dns_suffix() };
        if self.kind == Kind::Public {
            let start = if self.dual_stack { "ecr-public" } else { "api.ecr-public" };
            return format!("{start}.{region}.{suffix}");
        }
        let service = if self.fips { "ecr-fips" } else { "ecr" };
        // The older names begin with `api.`, apart from FIPS in the United States (the SDKs' endpoint rules).
        let plain = self.dual_stack || self.fips && matches!(partition, Partition::Aws | Partition::AwsUsGov);
        let api = if plain { "" } else { "api." };
        format!("{api}{service}.{region}.{suffix}")
    }

    /// The ARN of a repository (Service Authorization Reference, "Resource types defined by Amazon Elastic Container
    /// Registry"); `None` for the public registry, whose hosts name no account.
    pub fn repository_arn(&self, name: &str) -> Option<String> {
        Some(repository_arn(self.partition, &self.region, self.account.as_deref()?, name))
    }
}

/// The ARN of a repository.
pub fn repository_arn(partition: Partition, region: &str, account: &str, name: &str) -> String {
    format!("arn:{partition}:ecr:{region}:{account}:repository/{name}")
}

/// Whether a text is spelled like a region's name.
pub fn is_region(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(['-', '_'])
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_of_host_is_known() {
        for (host, region, partition, fips, dual_stack, api) in [
            (
                "dkr.ecr.eu-central-1.amazonaws.com",
                "eu-central-1",
                "aws",
                false,
                false,
                "api.ecr.eu-central-1.amazonaws.com",
            ),
            ("dkr-ecr.eu-central-1.on.aws", "eu-central-1", "aws", false, true, "ecr.eu-central-1.api.aws"),
            (
                "dkr.ecr-fips.us-east-1.amazonaws.com",
                "us-east-1",
                "aws",
                true,
                false,
                "ecr-fips.us-east-1.amazonaws.com",
            ),
            ("dkr-ecr-fips.us-east-1.on.aws", "us-east-1", "aws", true, true, "ecr-fips.us-east-1.api.aws"),
            (
                "dkr.ecr.us-gov-west-1.amazonaws.com",
                "us-gov-west-1",
                "aws-us-gov",
                false,
                false,
                "api.ecr.us-gov-west-1.amazonaws.com",
            ),
            (
                "dkr.ecr-fips.us-gov-west-1.amazonaws.com",
                "us-gov-west-1",
                "aws-us-gov",
                true,
                false,
                "ecr-fips.us-gov-west-1.amazonaws.com",
            ),
            (
                "dkr-ecr-fips.us-gov-east-1.on.aws",
                "us-gov-east-1",
                "aws-us-gov",
                true,
                true,
                "ecr-fips.us-gov-east-1.api.aws",
            ),
            (
                "dkr.ecr.cn-north-1.amazonaws.com.cn",
                "cn-north-1",
                "aws-cn",
                false,
                false,
                "api.ecr.cn-north-1.amazonaws.com.cn",
            ),
            (
                "dkr-ecr.cn-north-1.on.amazonwebservices.com.cn",
                "cn-north-1",
                "aws-cn",
                false,
                true,
                "ecr.cn-north-1.api.amazonwebservices.com.cn",
            ),
            (
                "dkr.ecr.eusc-de-east-1.amazonaws.eu",
                "eusc-de-east-1",
                "aws-eusc",
                false,
                false,
                "api.ecr.eusc-de-east-1.amazonaws.eu",
            ),
            (
                "dkr-ecr.eusc-de-east-1.on.amazonwebservices.eu",
                "eusc-de-east-1",
                "aws-eusc",
                false,
                true,
                "ecr.eusc-de-east-1.api.amazonwebservices.eu",
            ),
            (
                "dkr.ecr.us-iso-east-1.c2s.ic.gov",
                "us-iso-east-1",
                "aws-iso",
                false,
                false,
                "api.ecr.us-iso-east-1.c2s.ic.gov",
            ),
            (
                "dkr.ecr.us-isob-east-1.sc2s.sgov.gov",
                "us-isob-east-1",
                "aws-iso-b",
                false,
                false,
                "api.ecr.us-isob-east-1.sc2s.sgov.gov",
            ),
            (
                "dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk",
                "eu-isoe-west-1",
                "aws-iso-e",
                false,
                false,
                "api.ecr.eu-isoe-west-1.cloud.adc-e.uk",
            ),
            (
                "dkr.ecr-fips.us-isof-south-1.csp.hci.ic.gov",
                "us-isof-south-1",
                "aws-iso-f",
                true,
                false,
                "api.ecr-fips.us-isof-south-1.csp.hci.ic.gov",
            ),
        ] {
            let found = EcrHost::parse(&format!("123456789012.{host}")).unwrap_or_else(|| panic!("{host}"));
            assert_eq!(found.account.as_deref(), Some("123456789012"), "{host}");
            let said = (found.region.as_str(), found.partition.id(), found.fips, found.dual_stack);
            assert_eq!(said, (region, partition, fips, dual_stack), "{host}");
            assert_eq!((found.kind, found.api_host().as_str()), (Kind::Private, api), "{host}");
        }
    }

    #[test]
    fn the_public_registry_has_two_names() {
        for (host, dual_stack, api) in [
            ("public.ecr.aws", false, "api.ecr-public.us-east-1.amazonaws.com"),
            ("ecr-public.aws.com", true, "ecr-public.us-east-1.api.aws"),
        ] {
            let found = EcrHost::parse(host).expect(host);
            assert_eq!((found.kind, found.dual_stack, found.api_host().as_str()), (Kind::Public, dual_stack, api));
            assert_eq!(found.repository_arn("team/app"), None);
        }
    }

    #[test]
    fn what_looks_like_ecr_is_not_ecr() {
        for host in [
            "",
            "amazonaws.com",
            "registry.example.com",
            "12345678901.dkr.ecr.eu-central-1.amazonaws.com",
            "1234567890123.dkr.ecr.eu-central-1.amazonaws.com",
            "12345678901x.dkr.ecr.eu-central-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-central-1.amazonaws.com.example.com",
            "123456789012.dkr.ecr.eu-central-1.amazonaws.com:443",
            "123456789012.dkr.ecr.eu-central-1.amazonaws.com.",
            "x.123456789012.dkr.ecr.eu-central-1.amazonaws.com",
            "123456789012.dkr.ecr..amazonaws.com",
            "123456789012.dkr.ecr.-.amazonaws.com",
            "123456789012.dkr.ecr.amazonaws.com",
            "123456789012.dkr.s3.eu-central-1.amazonaws.com",
            "123456789012.dkr-ecr.eu-central-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-central-1.on.aws",
            "x.public.ecr.aws",
        ] {
            assert_eq!(EcrHost::parse(host), None, "{host}");
        }
    }

    #[test]
    fn a_repository_has_an_arn() {
        let arn = |host: &str| EcrHost::parse(host).and_then(|host| host.repository_arn("team/app")).expect("an ARN");
        assert_eq!(
            arn("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn"),
            "arn:aws-cn:ecr:cn-north-1:123456789012:repository/team/app"
        );
        assert_eq!(
            arn("123456789012.DKR.ecr.us-gov-west-1.amazonaws.com"),
            "arn:aws-us-gov:ecr:us-gov-west-1:123456789012:repository/team/app"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_taken(text in "\\PC*", host in "[0-9]{11,13}\\.dkr[.-]ecr(-fips)?\\.[a-z0-9_-]{0,9}\\.[a-z.]{0,20}") {
            EcrHost::parse(&text);
            EcrHost::parse(&host);
        }

        #[test]
        fn what_is_known_is_in_the_name(account in "[0-9]{12}", region in "[a-z]{2}-[a-z]{3,9}-[1-9]") {
            let found = EcrHost::parse(&format!("{account}.dkr.ecr.{region}.amazonaws.com")).expect("a host");
            prop_assert_eq!(found.account.as_deref(), Some(account.as_str()));
            prop_assert_eq!(found.region, region);
        }
    }
}
