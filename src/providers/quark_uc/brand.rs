//! Two products of one service: what differs is data (sheet uc, 1.1).

/// The constants of a product.
pub struct Brand {
    /// Key in the registry.
    pub key: &'static str,
    /// Query value `pr` of every call.
    pub pr: &'static str,
    /// The web site: `Referer` and `Origin`.
    pub site: &'static str,
    /// User-Agent of the product's own PC client. Links above 50 MiB are refused to others, and
    /// a link is bound to the agent that asked for it, so it goes with everything.
    pub agent: &'static str,
    /// Whether parts are put in parallel, with the SHA-1 state before each (sheet quark, 7.2).
    pub parallel: bool,
    /// Whether code 41001 means a dead login; else something that is not there.
    pub login_41001: bool,
    /// Whether code 41020 means "too frequent"; else a ticket that is not valid any more.
    pub busy_41020: bool,
}

/// Quark Drive.
pub static QUARK: Brand = Brand {
    key: "quark",
    pr: "ucpro",
    site: "https://pan.quark.cn",
    agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) quark-cloud-drive/2.5.20 Chrome/100.0.4896.160 Electron/18.3.5.4-b478491100 Safari/537.36 Channel/pckk_other_ch",
    parallel: true,
    login_41001: false,
    busy_41020: false,
};

/// UC Drive. The parallel upload was never seen there, so its parts go in order.
pub static UC: Brand = Brand {
    key: "uc",
    pr: "UCBrowser",
    site: "https://drive.uc.cn",
    agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) uc-cloud-drive/2.5.20 Chrome/100.0.4896.160 Electron/18.3.5.4-b478491100 Safari/537.36 Channel/pckk_other_ch",
    parallel: false,
    login_41001: true,
    busy_41020: true,
};
