//! `quickdraw backfill file`: reports the payloads of a file.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use quickdraw_domain::Trigger;
use quickdraw_domain::envelope::Envelope;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::report::{Reported, Reporter};

/// A record of the file: a payload in one of two wrappers, or a bare body without any of these fields.
#[derive(Deserialize)]
struct Record {
    trigger: Option<String>,
    received_at: Option<String>,
    created_at: Option<String>,
    payload: Option<Box<RawValue>>,
    request_data: Option<Box<RawValue>>,
}

pub(super) async fn run(file: &Path, mut reporter: Reporter) -> anyhow::Result<()> {
    let (input, length): (Box<dyn Read + Send>, u64) = if file.as_os_str() == "-" {
        (Box::new(std::io::stdin()), 0)
    } else {
        let opened = File::open(file).with_context(|| format!("failed to open {}", file.display()))?;
        let length = opened.metadata()?.len();
        (Box::new(opened), length)
    };

    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes}, {eta} left")?;
    let bar = ProgressBar::new(length).with_style(style);
    let values = serde_json::Deserializer::from_reader(BufReader::new(bar.wrap_read(input)));
    let (mut number, mut failed) = (0_u64, 0_u64);

    for value in values.into_iter::<Box<RawValue>>() {
        if value.is_err() {
            // The records before the damage are reported.
            reporter.flush().await?;
        }

        let value = value.with_context(|| {
            format!("the text after record {number} is not JSON; the records before it were reported")
        })?;
        let records: Vec<Box<RawValue>> = match serde_json::from_str(value.get()) {
            Ok(records) => records,
            Err(_) => vec![value],
        };

        for record in records {
            number += 1;

            match read(record) {
                Ok(event) => reporter.report(event).await?,
                Err(why) => {
                    failed += 1;
                    bar.suspend(|| reporter.fail(&format!("record {number}"), &why));
                }
            }
        }
    }

    bar.finish_and_clear();
    reporter.end().await?;

    anyhow::ensure!(
        failed == 0,
        "{failed} of {number} records could not be reported; the others were reported"
    );

    Ok(())
}

fn read(record: Box<RawValue>) -> Result<Reported, String> {
    let parts: Record = serde_json::from_str(record.get()).map_err(|error| error.to_string())?;
    let is_bare = parts.payload.is_none() && parts.request_data.is_none();
    // A `created_at` inside a bare body is the time of the object and not the time of the event.
    let received_at = parts.received_at.or(parts.created_at.filter(|_| !is_bare));
    let payload = parts.payload.or(parts.request_data).unwrap_or(record);
    let envelope = Envelope::read(payload.get().as_bytes()).map_err(|error| error.to_string())?;

    let trigger = match parts.trigger.filter(|_| !is_bare) {
        Some(name) => Trigger::by_name(&name).ok_or_else(|| format!("{name:?} is not a trigger"))?,
        None => Trigger::recognise(None, &envelope),
    };
    if trigger == Trigger::UNKNOWN {
        return Err("unknown kind of event: the body has no object_kind, and the record has no trigger".to_owned());
    }

    let written = received_at.as_deref().map(quickdraw_domain::times::read);
    if written.is_some_and(|written| written.is_none()) {
        return Err("received_at is not a time; write it like 2026-03-16T08:30:00Z".to_owned());
    }

    Ok(Reported {
        trigger: trigger.row().name,
        received_at,
        payload,
    })
}
