// Rows of the table of pages about gaps, streams and alerts.

/** The rows, from the makers of rows that the table has. */
export const relayRows = (places) => [
  ...places("gaps", "gaps", "Gaps", { shows: ["branch"] }),
  ...places("gaps/{source_project_id}", "gaps/{sourceProject}", "Gaps"),
  ...places("streams", "streams", "Streams"),
  ...places("alerts", "alerts", "Alerts", { levels: ["instance"] }).map((row) => ({ ...row, shows: ["alert"] })),
  ...places("alerts/new", "alerts/new", "Add alert", { levels: ["instance"] }),
  ...places("alerts/{alert_id}", "alerts/{alert}", "Edit alert", { levels: ["instance"] }).map((row) => ({ ...row, shows: ["alert"] })),
  ...places("alerts/{alert_id}/delete", "alerts/{alert}/delete", "Delete alert", { levels: ["instance"] }),
];

/** Routes without a page of their own, and the reason. */
export const RELAY_NO_PAGES = {
  "/{level}/{path}/gaps/{source_project_id}/live": "the live part of the page above it",
  "/{level}/{path}/streams/live": "the live part of the page above it",
  "/{level}/{path}/streams/{stream_id}/end": "a stream is open during a journey only, which visits the page",
};
