//! The parts that the benches share, some of them with the tests. Each bench needs some of them.
#![allow(dead_code)]

pub mod figures;
pub mod program;
pub mod usage;

#[path = "../../tests/shared/lambda/answers.rs"]
pub mod answers;
#[path = "../../tests/shared/lambda/runtime_api.rs"]
pub mod runtime_api;
#[path = "../../tests/shared/lambda/serving.rs"]
pub mod serving;
