use proptest::prelude::*;

use super::*;

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap()
}

proptest! {
    #[test]
    fn one_flipped_byte_anywhere_is_refused(at in any::<prop::sample::Index>(), flip in 1u8.., in_body in any::<bool>()) {
        let good = body(json!({}));
        let signature = sign("secret", &good);
        let (mut bytes, mut header) = (good, signature.into_bytes());
        let target = if in_body { &mut bytes } else { &mut header };
        let at = at.index(target.len());
        target[at] ^= flip;
        prop_assume!(in_body || !header.eq_ignore_ascii_case(sign("secret", &bytes).as_bytes()));
        let Ok(header) = http::HeaderValue::from_bytes(&header) else { return Ok(()) };
        let request = Request::post("/").header("momento-signature", header).body(bytes).unwrap();
        let (status, code, calls) = runtime().block_on(outcome(request));
        prop_assert_eq!((status, code.as_str(), calls.len()), (401, "bad_signature", 0));
    }

    #[test]
    fn any_signed_bytes_get_an_answer(bytes in any::<Vec<u8>>()) {
        let (status, ..) = runtime().block_on(outcome(signed("secret", bytes)));
        prop_assert_eq!(status, 400);
    }
}
