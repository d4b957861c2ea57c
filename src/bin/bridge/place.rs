//! The stack of a command: the running local stack, or a stack on AWS.

use anyhow::{Context, Result};
use clap::Args;
use workflow_bridge::tools::place::Place;

use crate::connection::running_stack;

/// Options that select the stack.
#[derive(Args)]
pub struct Where {
    /// CloudFormation stack on AWS [default: the running local stack]
    #[arg(
        long,
        visible_alias = "stack-name",
        value_name = "NAME",
        conflicts_with = "local"
    )]
    stack: Option<String>,

    /// The running local stack, the default
    #[arg(long)]
    local: bool,
}

impl Where {
    /// A stack on AWS, or the running local one.
    pub fn of(stack: Option<String>) -> Self {
        Self {
            local: stack.is_none(),
            stack,
        }
    }

    pub async fn find(&self) -> Result<Place> {
        let Some(name) = &self.stack else {
            let state = running_stack().context(match self.local {
                true => "`--local` asks for the local stack",
                false => "no `--stack`, so the local stack is used",
            })?;
            let place = Place::running(&state);
            return Ok(Place {
                console: state.console,
                ..place
            });
        };
        Place::on_aws(name).await
    }
}
