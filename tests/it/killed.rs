//! Killed function processes.

use std::sync::Arc;

use workflow_bridge::tools::local::{Options, Stack};

use crate::deployed::{RUNTIME, SOON, binaries, stack};

#[test]
fn a_killed_function_answers_again_from_a_new_process() {
    let test = async {
        let emulator = Arc::clone(stack().await.emulator());
        let own = Stack::start_in(emulator, Options::new(binaries()).unwrap())
            .await
            .unwrap();
        let unsigned = || async {
            let request = reqwest::Client::new().post(own.webhook_url()).body("{}");
            let answer = request.timeout(SOON).send().await.unwrap();
            answer.status().as_u16()
        };
        assert_eq!(own.kill_functions("WebhookFunction").unwrap(), 0);
        assert_eq!(unsigned().await, 401);
        assert_eq!(own.kill_functions("WebhookFunction").unwrap(), 1);
        assert_eq!(own.kill_functions("CompletionFunction").unwrap(), 0);
        // The emulator may pass one event to the dead process before it notices.
        let answers = [unsigned().await, unsigned().await];
        assert!([401, 502].contains(&answers[0]), "{answers:?}");
        assert_eq!(answers[1], 401);
        assert_eq!(own.kill_functions("WebhookFunction").unwrap(), 1);
        assert!(own.kill_functions("Nothing").is_err());
    };
    RUNTIME.block_on(test);
}
