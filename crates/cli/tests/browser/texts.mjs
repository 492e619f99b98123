// Texts that must stay texts, and secrets that no page may show.

// Each begins with a word of its own, so that a page can be searched for it. A browser that took one of them for markup
// would open a dialog, load an image, or report a violation of the content security policy.
const ATTACKS = [
  "\"><script>alert('script')</script>",
  "'><img src=x onerror=alert('image')>",
  "</title></style></textarea></script><svg onload=alert('svg')>",
  "<a href=\"javascript:alert('link')\">link</a>",
  "{{7*7}}${7*7}<%= 7*7 %>",
  "<iframe srcdoc=\"<script>alert('frame')</script>\"></iframe>",
  "\u202egpj.exe<b>bold",
];

/** A hostile text that begins with the word `hostile-NAME`. `NUMBER` chooses the attack. */
export const hostile = (name, number = 0) => `hostile-${name} ${ATTACKS[number % ATTACKS.length]}`;

/** A hostile text with all attacks. */
export const hostileAll = (name) => `hostile-${name} ${ATTACKS.join(" ")}`;

/** The word at the beginning of a hostile text. */
export const word = (name) => `hostile-${name}`;

/** A secret that no page may show. All secrets begin with the same word. */
export const canary = (name) => `canary-${name}-0f3b9c1d7a`;

/** The word that all secrets contain. */
export const CANARY = "canary-";
