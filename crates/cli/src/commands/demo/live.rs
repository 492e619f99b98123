//! The live events of a demo, which follow the generated history.

use std::collections::VecDeque;

use super::history::{FIRST, MINUTE, MergeRequest, Reported, WORK, World, ZERO, tip};

/// A source of live events: one merge request of the first project after the other, from the push to the deployment.
pub(super) struct Live {
    world: World,
    steps: VecDeque<Reported>,
}

/// The state of the first project, from which live events continue.
#[derive(Default)]
pub(super) struct Known {
    pub(super) merge_requests: i64,
    pub(super) pipelines: i64,

    /// The last commit of the default branch.
    pub(super) head: Option<String>,
}

impl Known {
    /// The state after the given events.
    pub(super) fn of(reported: &[Reported]) -> Self {
        let ours = || {
            reported
                .iter()
                .map(|reported| &reported.body)
                .filter(|body| body["project"]["id"] == FIRST)
        };

        let last = |kind: &str| {
            let of_kind = ours().filter(|body| body["object_kind"] == kind);
            of_kind
                .filter_map(|body| body["object_attributes"]["iid"].as_i64())
                .max()
                .unwrap_or_default()
        };

        let mut head = ours()
            .filter(|body| body["ref"] == "refs/heads/main")
            .filter_map(|body| body["after"].as_str());
        let head = head.next_back().map(str::to_owned);

        Self {
            merge_requests: last("merge_request"),
            pipelines: last("pipeline"),
            head,
        }
    }
}

impl Live {
    /// Starts at `now`, in seconds since 1970.
    pub(super) fn new(known: Known, now: i64) -> Self {
        let mut world = World::new(u64::try_from(now).unwrap_or(0));
        // Ids above those of the generated history.
        world.ids = now;

        let first = &mut world.projects[0];
        (first.merge_requests, first.pipelines) = (known.merge_requests, known.pipelines);

        if let Some(head) = known.head {
            first.head = head;
        }

        Self {
            world,
            steps: VecDeque::new(),
        }
    }

    /// The next event.
    pub(super) fn next(&mut self, now: i64) -> Option<Reported> {
        if self.steps.is_empty() {
            self.world.round(now);
            self.steps.extend(self.world.reported.drain(..));
        }

        self.steps.pop_front()
    }
}

impl World {
    /// Generates a merge request, from its first commit to its deployment. Events later than a minute from now are
    /// dropped.
    fn round(&mut self, now: i64) {
        let (who, reviewer) = (self.dice.person(), self.dice.person());
        self.projects[0].merge_requests += 1;

        let iid = self.projects[0].merge_requests;
        let word = WORK[usize::try_from(self.dice.below(8)).unwrap_or(0)];
        let (branch, title) = (format!("{}-{iid}", word.to_lowercase()), format!("{word}: {iid}"));

        let one = MergeRequest {
            project: 0,
            iid,
            number: self.id(),
            created_at: now,
            who,
            branch,
            title,
            is_draft: false,
        };
        let mut commits = vec![self.commit(now - 10 * MINUTE, who, &one.title)];
        let head = tip(&commits);
        self.push(0, now, who, (&one.branch, ZERO, &head), &commits);
        self.merge_request(&one, now, who, "open", "opened", &head);
        self.quick_pipeline(now, who, &one.branch, &head);
        self.note(&one, now + 1, reviewer, &head);
        self.merge_request(&one, now + 2, reviewer, "approved", "opened", &head);

        let merge = self.commit(now, reviewer, &format!("Merge branch '{}' into 'main'", one.branch));
        let (before, merged) = (self.projects[0].head.clone(), tip(std::slice::from_ref(&merge)));
        commits.push(merge);
        self.projects[0].head.clone_from(&merged);
        self.merge_request(&one, now + 3, reviewer, "merge", "merged", &merged);
        self.push(0, now, reviewer, ("main", &before, &merged), &commits);
        self.push(0, now, reviewer, (&one.branch, &head, ZERO), &[]);
        self.quick_pipeline(now, reviewer, "main", &merged);
        self.deploy(0, now - 3 * MINUTE, reviewer, &merged);
        self.reported.retain(|reported| reported.at <= now + MINUTE);
    }

    /// Generates a pipeline that ended now.
    fn quick_pipeline(&mut self, now: i64, who: usize, branch: &str, sha: &str) {
        self.projects[0].pipelines += 1;

        let (number, iid) = (self.id(), self.projects[0].pipelines);
        let jobs = ["build", "lint", "test"].map(|name| (name, self.id(), "success"));
        let (began, ended) = (now - 2 * MINUTE, Some(now));

        self.pipeline_event(
            0,
            now,
            who,
            (branch, sha),
            (number, iid),
            "success",
            (began, ended),
            &jobs,
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn live_events_continue_from_the_history() {
        let known = Known::of(&super::super::history::weeks(1, 3, 1_780_000_000));
        let (merge_requests, head) = (known.merge_requests, known.head.clone().expect("a default branch"));
        assert!(merge_requests > 10 && known.pipelines > merge_requests);

        let mut live = Live::new(known, 1_780_000_000);
        let reported: Vec<Reported> = (0..40).filter_map(|step| live.next(1_780_000_000 + step * 5)).collect();
        assert_eq!(reported.len(), 40);

        let of_main: Vec<&Value> = reported
            .iter()
            .map(|reported| &reported.body)
            .filter(|body| body["ref"] == "refs/heads/main")
            .collect();

        assert_eq!(of_main[0]["before"], head);
        assert!(
            of_main.windows(2).all(|two| two[0]["after"] == two[1]["before"]),
            "a chain"
        );

        let merged: Vec<i64> = (reported.iter().map(|reported| &reported.body["object_attributes"]))
            .filter(|one| one["action"] == "merge")
            .filter_map(|one| one["iid"].as_i64())
            .collect();

        assert_eq!(
            merged[..2],
            [merge_requests + 1, merge_requests + 2],
            "the numbers continue without a gap"
        );
    }
}
