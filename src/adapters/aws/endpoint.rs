//! Where the services are. The tests compare with what the SDKs say.

use super::services::{ALL, SECRETS_MANAGER, Service};
use crate::config::Lookup;
use crate::ports::Fault;

/// The endpoint of all services; with `_SFN` and so on behind it, of one.
const VARIABLE: &str = "AWS_ENDPOINT_URL";

/// Endpoints that are set, and which of AWS's own are wanted.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    /// Of a service, by its id.
    pub own: Vec<(&'static str, String)>,
    /// Of all other services.
    pub all: Option<String>,
    pub fips: bool,
    pub dual_stack: bool,
}

/// What hosts' names end with, by the beginning of the region's.
const PARTITIONS: [(&str, &str, &str); 6] = [
    ("cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    ("eusc-", "amazonaws.eu", "api.amazonwebservices.eu"),
    ("us-iso-", "c2s.ic.gov", "api.aws.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov", "api.aws.scloud"),
    ("eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
];

impl Endpoints {
    /// As the variables say that the AWS tools have for them.
    pub fn variables(lookup: Lookup<'_>) -> Self {
        let is_on =
            |name| lookup(name).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
        let is_ignored = is_on("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
        let found = |name: &str| lookup(name).filter(|url| !url.is_empty() && !is_ignored);
        let own = ALL.iter().filter_map(|service| {
            let variable = format!("{VARIABLE}_{}", service.id);
            Some((service.id, found(&variable)?))
        });
        Self {
            own: own.collect(),
            all: found(VARIABLE),
            fips: is_on("AWS_USE_FIPS_ENDPOINT"),
            dual_stack: is_on("AWS_USE_DUALSTACK_ENDPOINT"),
        }
    }

    /// The URL that is set for a service.
    pub fn set(&self, id: &str) -> Option<&str> {
        let own = self.own.iter().find(|(name, _)| *name == id);
        own.map(|(_, url)| url.as_str()).or(self.all.as_deref())
    }

    /// The URL of a service.
    ///
    /// # Errors
    ///
    /// Without a region; somebody may tell one later.
    pub fn of(&self, service: &Service, region: Option<&str>) -> Result<String, Fault> {
        let region = region.filter(|region| !region.is_empty()).ok_or_else(|| {
            let text = "expected an AWS region, found none: set AWS_REGION";
            Fault::later("NoRegion", text)
        })?;
        if let Some(url) = self.set(service.id) {
            return Ok(url.to_owned());
        }
        let mut partitions = PARTITIONS.iter();
        let partition = partitions.find(|(begin, ..)| region.starts_with(begin));
        let &(_, usual, dual) = partition.unwrap_or(&("", "amazonaws.com", "api.aws"));
        let fips = self.wants_fips_host(service, region);
        let fips = if fips { "-fips" } else { "" };
        let dual_stack = self.dual_stack && !self.is_dual_stack_anyway(service, usual);
        let suffix = if dual_stack { dual } else { usual };
        Ok(format!("https://{}{fips}.{region}.{suffix}", service.name))
    }

    /// Whether a host of its own meets FIPS 140: in the government's regions, most usual ones do.
    fn wants_fips_host(&self, service: &Service, region: &str) -> bool {
        if !region.starts_with("us-gov-") {
            return self.fips;
        }
        match service.id {
            "EVENTBRIDGE" => false,
            "SECRETS_MANAGER" => self.fips,
            "SFN" => self.dual_stack || (self.fips && region != "us-gov-west-1"),
            _ => self.fips && self.dual_stack,
        }
    }

    /// Whether the usual host of a service has IPv6, and there is no other.
    fn is_dual_stack_anyway(&self, service: &Service, suffix: &str) -> bool {
        let china = suffix == "amazonaws.com.cn" && !self.fips;
        service.id == SECRETS_MANAGER.id && (suffix == "amazonaws.com" || china)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::aws::services::{DYNAMODB, EVENTBRIDGE, SFN, SQS};

    const REGIONS: [&str; 10] = [
        "us-east-1",
        "eu-central-2",
        "cn-north-1",
        "us-gov-west-1",
        "us-gov-east-1",
        "eusc-de-east-1",
        "us-iso-east-1",
        "us-isob-west-1",
        "eu-isoe-west-1",
        "us-isof-south-1",
    ];

    /// The URL that an SDK's rules give.
    macro_rules! sdks {
        ($sdk:ident, $region:expr, $fips:expr, $dual_stack:expr) => {{
            use $sdk::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
            let params = Params::builder()
                .region($region)
                .use_fips($fips)
                .use_dual_stack($dual_stack);
            let (resolver, params) = (DefaultResolver::new(), params.build().unwrap());
            let resolved = resolver.resolve_endpoint(&params);
            resolved.await.unwrap().url().to_owned()
        }};
    }

    #[tokio::test]
    async fn the_services_are_where_the_sdks_find_them() {
        for region in REGIONS {
            for (fips, dual_stack) in [(false, false), (true, false), (false, true), (true, true)] {
                let endpoints = Endpoints {
                    fips,
                    dual_stack,
                    ..Endpoints::default()
                };
                for (service, expected) in [
                    (&DYNAMODB, sdks!(aws_sdk_dynamodb, region, fips, dual_stack)),
                    (
                        &EVENTBRIDGE,
                        sdks!(aws_sdk_eventbridge, region, fips, dual_stack),
                    ),
                    (
                        &SECRETS_MANAGER,
                        sdks!(aws_sdk_secretsmanager, region, fips, dual_stack),
                    ),
                    (&SFN, sdks!(aws_sdk_sfn, region, fips, dual_stack)),
                    (&SQS, sdks!(aws_sdk_sqs, region, fips, dual_stack)),
                ] {
                    let found = endpoints.of(service, Some(region)).unwrap();
                    assert_eq!(found, expected, "fips {fips} dual {dual_stack}");
                }
            }
        }
    }

    #[test]
    fn the_endpoint_of_a_service_goes_before_the_one_of_all() {
        let set = Endpoints::variables(&|name: &str| match name {
            "AWS_ENDPOINT_URL" => Some("http://all".to_owned()),
            "AWS_ENDPOINT_URL_SECRETS_MANAGER" => Some("http://secrets".to_owned()),
            "AWS_ENDPOINT_URL_SQS" => Some(String::new()),
            _ => None,
        });
        let of = |service| set.of(service, Some("us-east-1")).unwrap();
        assert_eq!(of(&SECRETS_MANAGER), "http://secrets");
        assert_eq!(
            (of(&SFN), of(&SQS)),
            ("http://all".into(), "http://all".into())
        );
    }

    #[test]
    fn endpoints_can_be_ignored() {
        let set = Endpoints::variables(&|name: &str| match name {
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS" => Some("True".to_owned()),
            "AWS_USE_FIPS_ENDPOINT" => Some("true".to_owned()),
            "AWS_USE_DUALSTACK_ENDPOINT" => Some("no".to_owned()),
            _ => Some("http://named".to_owned()),
        });
        assert_eq!(
            (set.fips, set.dual_stack, set.set(SFN.id)),
            (true, false, None)
        );
    }

    #[test]
    fn without_a_region_nothing_can_be_called() {
        for region in [None, Some("")] {
            let fault = Endpoints::default().of(&SFN, region).unwrap_err();
            assert!(fault.text.contains("AWS_REGION"), "{fault}");
        }
    }
}
