//! The settings of the simulator.
//!
//! | knob | default | meaning |
//! |---|---|---|
//! | `vip` | account 1 | VIP: files over 5 GiB |
//! | `max_file_size` | 115 GiB, 5 GiB | largest file |
//! | `total_size` | 16 TiB | space |
//! | `qps` | 0 (off) | more requests per second get 770004 |
//! | `live_logins` | 3 | further ones kick the oldest |
//! | `refresh_gap_s` | 0 | a refresh sooner after the last gets 40140117 |
//! | `qr_status` | counts up | fixed status of the QR code |
//! | `qr_account` | 1 | account that scans it (set it on account 1) |
//! | `max_limit` | 1150 | entries per list page |
//! | `show_pending` | off | unfinished uploads are listed with `fta` 0 |
//! | `text_numbers` | off | numbers of the list (and the status of the cookie init) are strings |
//! | `stat_missing_code` | off | 430004 instead of empty `data` |
//! | `stat_array` | off | `data` of a stat is an array |
//! | `stat_trashed` | off | stat finds trashed entries |
//! | `path_lag_ms` | 1500 | stat by path does not know newer entries |
//! | `duplicates` | off | move, copy, rename and restore leave true duplicates |
//! | `rename_refused` | off | a changed extension gets 20021 |
//! | `fold_case` | off | mkdir compares without case |
//! | `max_entries` | 50000 | entries of a folder |
//! | `op_ms` | 20 | how long move, copy, delete, restore run before they answer |
//! | `busy_ms` | 0 | how long they go on behind the answer (world's clock) |
//! | `busy` | off | they always get 990009 |
//! | `challenge_min` | 1 MiB | contents from here on are challenged |
//! | `challenge_unknown` | off | unknown contents are challenged too |
//! | `wrong_proof` | 700 | `702`: status 8 with a new challenge |
//! | `verify_preid` | off | a wrong `preid` is refused |
//! | `callback_array` | off | `callback` is an array of one |
//! | `link_ttl_s` | 7200 | life of links |
//! | `link_f` | 1; by cookies 3 | what links want: 1 the same `User-Agent`, 3 also the cookies of the answer (by cookies only), empty nothing |
//! | `max_streams` | 2 | connections per file, 0 is any number |
//! | `logged_out` | off | cookies are not good any more |
//! | `cookie_life_s` | 0 (for ever) | cookies are good for so long |
//! | `web_keeps_old` | off | the web host still takes cookies that a later login of their tag replaced |
//! | `kid` | on | `off`: new cookies have no `KID` |
//! | `user_agent` | the 115 browser | `any`: nothing is asked of the `User-Agent` |
//! | `blocked` | none | hosts (`api`, `passport`, `web`, `upload`, comma list, or `all`) that answer cookie calls with the 405 page |
//! | `cookie_qps` | 0 (off) | more cookie calls per second get the 405 page |
//! | `errno_text` | off | error codes of cookie calls are strings |
//! | `link_missing_size` | off | a link of nothing is an entry with size -1 |
//! | `safety_key` | none | asked for before the trash is purged by cookies |
//! | `min_appversion` | 27.0.5.7 | older apps are refused at the cookie init |
//! | `app_version` | 36.2.28 | what the version call names |

/// Their names.
pub(super) const NAMES: &[&str] = &[
    "vip",
    "max_file_size",
    "total_size",
    "qps",
    "live_logins",
    "refresh_gap_s",
    "qr_status",
    "qr_account",
    "max_limit",
    "show_pending",
    "text_numbers",
    "stat_missing_code",
    "stat_array",
    "stat_trashed",
    "path_lag_ms",
    "duplicates",
    "rename_refused",
    "fold_case",
    "max_entries",
    "op_ms",
    "busy_ms",
    "busy",
    "challenge_min",
    "challenge_unknown",
    "wrong_proof",
    "verify_preid",
    "callback_array",
    "link_ttl_s",
    "link_f",
    "max_streams",
    "logged_out",
    "cookie_life_s",
    "web_keeps_old",
    "kid",
    "user_agent",
    "blocked",
    "cookie_qps",
    "errno_text",
    "link_missing_size",
    "safety_key",
    "min_appversion",
    "app_version",
];
