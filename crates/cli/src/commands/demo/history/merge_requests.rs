//! The merge requests of the generated history, with their commits, pushes and comments.

use quickdraw_domain::Trigger;
use serde_json::{Value, json};

use super::{BOT, HOUR, MINUTE, TEAM, WORK, World, ZERO, person, spelled, tip};

/// A merge request while its history is generated.
pub(crate) struct MergeRequest {
    pub(crate) project: usize,
    pub(crate) iid: i64,
    pub(crate) number: i64,
    pub(crate) created_at: i64,
    pub(crate) who: usize,
    pub(crate) branch: String,
    pub(crate) title: String,
    pub(crate) is_draft: bool,
}

impl World {
    /// Generates a merge request, from its first commit to its end.
    pub(super) fn change(&mut self, project: usize, begin: i64, who: usize) {
        self.projects[project].merge_requests += 1;

        let iid = self.projects[project].merge_requests;
        let word = WORK[usize::try_from(self.dice.below(8)).unwrap_or(0)];
        let (branch, title) = (
            format!("{}-{iid}", word.to_lowercase()),
            format!("{word}: {}", self.dice.below(900)),
        );

        let mut at = begin;
        let mut commits: Vec<Value> = (0..self.dice.between(1, 4))
            .map(|n| self.commit(begin + n * 20 * MINUTE, who, &format!("{title}, part {n}")))
            .collect();
        at += HOUR + self.dice.below(2 * HOUR);

        let mut head = tip(&commits);
        self.push(project, at, who, (&branch, ZERO, &head), &commits);

        let is_draft = self.dice.happens(25);
        let mut one = MergeRequest {
            project,
            iid,
            number: self.id(),
            created_at: at + 5 * MINUTE,
            who,
            branch,
            title,
            is_draft,
        };
        at = one.created_at;
        self.merge_request(&one, at, who, "open", "opened", &head);
        self.pipeline(project, at + MINUTE, who, &one.branch, &head);

        if is_draft {
            at += self.dice.between(2, 20) * HOUR;
            one.is_draft = false;
            self.merge_request(&one, at, who, "update", "opened", &head);
        }

        self.note(&one, at + MINUTE, BOT, &head);

        for _ in 0..self.dice.below(4) {
            at += self.dice.between(1, 9) * HOUR;

            let reviewer = self.dice.person();
            self.note(&one, at, reviewer, &head);

            if self.dice.happens(50) {
                at += self.dice.between(10, 120) * MINUTE;

                // A rebase gives the same changes new ids. Otherwise a commit is added.
                let before = head.clone();
                if self.dice.happens(30) {
                    for commit in &mut commits {
                        commit["id"] = self.dice.sha().into();
                    }

                    head = tip(&commits);
                    self.push(project, at, who, (&one.branch, &before, &head), &commits.clone());
                } else {
                    let more = self.commit(at, who, &format!("{}, as asked for", one.title));
                    head = tip(std::slice::from_ref(&more));

                    self.push(
                        project,
                        at,
                        who,
                        (&one.branch, &before, &head),
                        std::slice::from_ref(&more),
                    );

                    commits.push(more);
                }

                self.merge_request(&one, at + MINUTE, who, "push", "opened", &head);
                self.pipeline(project, at + 2 * MINUTE, who, &one.branch, &head);
            }
        }

        if self.dice.happens(8) {
            at += self.dice.between(1, 5) * HOUR;
            self.merge_request(&one, at, who, "close", "closed", &head);
            at += self.dice.between(2, 30) * HOUR;
            self.merge_request(&one, at, who, "reopen", "opened", &head);
        }

        at += self.dice.between(30, 600) * MINUTE;

        match self.dice.below(100) {
            0..=5 => self.merge_request(&one, at, who, "close", "closed", &head),
            // Some merge requests stay open.
            6..=11 => {}
            // Merges are generated later in the order of time, because each one builds on the one before.
            _ => self.landings.push((at, one, commits)),
        }
    }

    /// Generates the approval, the merge, and sometimes a deployment.
    pub(super) fn land(&mut self, one: &MergeRequest, at: i64, mut commits: Vec<Value>) {
        let head = &tip(&commits);
        let project = one.project;
        let other = self.dice.person();
        let by = if other == one.who { one.who } else { other };

        if by != one.who {
            self.merge_request(one, at - 10 * MINUTE, by, "approved", "opened", head);
        }

        let before = self.projects[project].head.clone();
        let mut merge = self.commit(at, by, &format!("Merge branch '{}' into 'main'", one.branch));
        merge["modified"] = json!([]);

        let commit = merge["id"].as_str().unwrap_or(ZERO).to_owned();
        self.projects[project].head.clone_from(&commit);
        self.merge_request(one, at, by, "merge", "merged", &commit);

        // As in GitLab, the push to main lists all commits of the branch.
        commits.push(merge);
        self.push(project, at + 5, by, ("main", &before, &commit), &commits);
        self.push(project, at + 10, by, (&one.branch, head, ZERO), &[]);
        self.pipeline(project, at + MINUTE, by, "main", &commit);

        if self.dice.happens(45) {
            let later = self.dice.below(HOUR);
            self.deploy(project, at + later + 20 * MINUTE, by, &commit);
        }
    }

    pub(crate) fn merge_request(
        &mut self,
        one: &MergeRequest,
        at: i64,
        who: usize,
        action: &str,
        state: &str,
        sha: &str,
    ) {
        let mut attributes = self.attributes(one, at, state);
        attributes["action"] = if action == "push" { "update" } else { action }.into();

        match action {
            "push" => attributes["oldrev"] = "0".repeat(39).into(),
            "merge" => attributes["merge_commit_sha"] = sha.into(),
            _ => {}
        }

        let body = json!({ "object_kind": "merge_request", "user": person(who), "project": self.home(one.project),
            "object_attributes": attributes, "labels": [] });
        self.report(at, Trigger::MERGE_REQUEST, body);
    }

    fn attributes(&self, one: &MergeRequest, at: i64, state: &str) -> Value {
        let id = self.projects[one.project].id;
        json!({ "id": one.number, "iid": one.iid, "title": one.title, "author_id": TEAM[one.who].0, "created_at": spelled(one.created_at),
            "updated_at": spelled(at), "state": state, "draft": one.is_draft, "source_branch": one.branch, "target_branch": "main",
            "source_project_id": id, "target_project_id": id })
    }

    pub(crate) fn note(&mut self, one: &MergeRequest, at: i64, who: usize, head: &str) {
        let note = json!({ "id": self.id(), "note": "Have you tied the knot?", "noteable_type": "MergeRequest",
            "author_id": TEAM[who].0, "created_at": spelled(at), "updated_at": spelled(at), "system": false, "action": "create" });
        let mut on = self.attributes(one, at, "opened");
        on["last_commit"] = json!({ "id": head });

        let body = json!({ "object_kind": "note", "user": person(who), "project": self.home(one.project),
            "project_id": self.projects[one.project].id, "object_attributes": note, "merge_request": on });
        self.report(at, Trigger::NOTE, body);
    }
}
