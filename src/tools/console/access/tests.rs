use super::*;

const TOKEN: &str = "0123456789abcdef";

fn decide(method: &str, uri: &str, headers: &[(&'static str, &str)]) -> Result<Pass, Refused> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, HeaderValue::from_str(value).unwrap());
    }
    let access = Access::new(TOKEN, 8233);
    access.decide(&method.parse().unwrap(), &uri.parse().unwrap(), &map)
}

const HOST: (&str, &str) = ("host", "127.0.0.1:8233");
const COOKIE: (&str, &str) = ("cookie", "a=b; bridge-console-8233=0123456789abcdef");
const ORIGIN: (&str, &str) = ("origin", "http://127.0.0.1:8233");

#[test]
fn only_loopback_hosts_with_the_port_are_answered() {
    for host in ["127.0.0.1:8233", "localhost:8233", "[::1]:8233"] {
        assert_eq!(decide("GET", "/", &[("host", host), COOKIE]), Ok(Pass::In));
    }
    for host in [
        "127.0.0.1",
        "127.0.0.1:8234",
        "localhost.example.com:8233",
        "example.com:8233",
        "127.0.0.1:8233.example.com",
        "10.0.0.1:8233",
        "",
    ] {
        let decided = decide("GET", "/", &[("host", host), COOKIE]);
        assert_eq!(decided, Err(Refused::Host(host.to_owned())), "{host}");
    }
    assert!(matches!(
        decide("GET", "/", &[COOKIE]),
        Err(Refused::Host(_))
    ));
    // HTTP/2.
    assert_eq!(
        decide("GET", "http://localhost:8233/", &[COOKIE]),
        Ok(Pass::In)
    );
}

#[test]
fn the_token_is_exchanged_for_a_cookie() {
    for (uri, to) in [
        ("/?token=0123456789abcdef", "/"),
        ("/runs/x?a=1&token=0123456789abcdef&b=2", "/runs/x?a=1&b=2"),
        ("//example.com/?token=0123456789abcdef", "/example.com/"),
    ] {
        let expected = Ok(Pass::Exchange(to.to_owned()));
        assert_eq!(decide("GET", uri, &[HOST]), expected, "{uri}");
    }
    for uri in [
        "/",
        "/?token=",
        "/?token=0123456789abcdee",
        "/?token=0123456789abcdef0",
    ] {
        assert_eq!(decide("GET", uri, &[HOST]), Err(Refused::Token), "{uri}");
    }
    for cookie in [
        "bridge-console-8233=0123456789abcdee",
        "bridge-console-8234=0123456789abcdef",
        "x=0123456789abcdef",
    ] {
        let decided = decide("GET", "/", &[HOST, ("cookie", cookie)]);
        assert_eq!(decided, Err(Refused::Token), "{cookie}");
    }
    // A token in the address of a POST is no pass.
    let posted = decide("POST", "/?token=0123456789abcdef", &[HOST, ORIGIN]);
    assert_eq!(posted, Err(Refused::Token));
}

#[test]
fn only_the_consoles_own_pages_post() {
    let post = |more: &[(&'static str, &str)]| {
        let headers: Vec<_> = [HOST, COOKIE].iter().chain(more).copied().collect();
        decide("POST", "/publish", &headers)
    };
    let own = ("sec-fetch-site", "same-origin");
    assert_eq!(post(&[ORIGIN]), Ok(Pass::In));
    assert_eq!(post(&[ORIGIN, own]), Ok(Pass::In));
    assert_eq!(post(&[]), Err(Refused::Origin(String::new())));
    for origin in [
        "null",
        "http://127.0.0.1:3000",
        "https://127.0.0.1:8233",
        "http://example.com",
        "http://127.0.0.1:8233.example.com",
    ] {
        let expected = Err(Refused::Origin(origin.to_owned()));
        assert_eq!(post(&[("origin", origin), own]), expected, "{origin}");
    }
    for site in ["cross-site", "same-site"] {
        let decided = post(&[ORIGIN, ("sec-fetch-site", site)]);
        assert_eq!(decided, Err(Refused::Site(site.to_owned())));
    }
    let put = decide("PUT", "/publish", &[HOST, COOKIE, ORIGIN]);
    assert_eq!(put, Err(Refused::Method(Method::PUT)));
}
