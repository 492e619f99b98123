//! `quickdraw doctor`: one line for everything that has to be in order, and what to do where it is not.

use std::path::Path;

use super::say;
use crate::config;
use crate::wiring::{self, FirstStart};

pub(crate) async fn run(file: Option<&Path>) -> anyhow::Result<()> {
    let mut problems = 0;
    let mut line = |what: &str, result: anyhow::Result<String>| match result {
        Ok(text) => say(format!("ok       {what}: {text}")),
        Err(error) => {
            problems += 1;
            say(format!("problem  {what}: {error:#}"));
        }
    };
    let config = match config::load(file) {
        Ok(config) => config,
        Err(error) => {
            line("configuration", Err(error));
            anyhow::bail!("the configuration is not valid");
        }
    };
    line("configuration", Ok(format!("valid, serving {}", config.server.external_url)));
    line(
        "guard",
        wiring::guard(&config).map(|guard| {
            if guard.allow_local_networks {
                "local networks may be called".to_owned()
            } else {
                "public addresses only".to_owned()
            }
        }),
    );
    line("retry policy", config.delivery.retry.policy().map(|policy| format!("{} attempts", policy.pauses.len() + 1)));
    match wiring::open_store(&config, &mut FirstStart::default()).await {
        Ok(store) => {
            line("database", Ok("it opens, the key fits".to_owned()));
            match store.condition(wiring::now()).await {
                Ok(condition) => {
                    let text =
                        format!("{}, schema {}, {} nodes", condition.engine, condition.schema_version, condition.nodes);
                    line("schema", Ok(text));
                    for problem in condition.problems {
                        line("database", Err(anyhow::anyhow!(problem)));
                    }
                }
                Err(error) => line("schema", Err(error.into())),
            }
            store.close().await;
        }
        Err(error) => match error.downcast_ref::<quickdraw_store::Error>() {
            Some(quickdraw_store::Error::InUse(file)) => {
                line("database", Ok(format!("{file} is in use by a quickdraw that is running")));
            }
            _ => line("database", Err(error)),
        },
    }
    anyhow::ensure!(problems == 0, "problems were found: {problems}");
    Ok(())
}
