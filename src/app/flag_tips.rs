//! Which flag was meant by one that there is not. Pure.

/// Flags of other tools, and what they are called here.
const KNOWN_ELSEWHERE: [(&str, &str); 10] = [
    ("all", "--all-namespaces"),
    ("http", "--scheme"),
    ("https", "--scheme"),
    ("insecure", "--insecure-skip-tls-verify"),
    ("local-port", "--port"),
    ("no-open", "--no-browser"),
    ("ns", "--namespace"),
    ("port-forward", "--via"),
    ("url", "--output"),
    ("verbose", "-v"),
];

/// What to propose for `--TYPED`, where clap proposes `guess`: that only if it is near.
pub fn meant_flag<'a>(typed: &str, guess: Option<&'a str>) -> Option<&'a str> {
    let typed = typed.trim_start_matches('-').split('=').next().unwrap_or_default();
    let known = KNOWN_ELSEWHERE.iter().find(|(elsewhere, _)| *elsewhere == typed).map(|(_, here)| *here);
    known.or(guess.filter(|guess| is_near(typed, guess.trim_start_matches('-'))))
}

/// One has all the words of the other, or they differ by a slip in every fourth letter, or by letters that were left out.
fn is_near(typed: &str, flag: &str) -> bool {
    let words = |text: &str| text.split('-').map(str::to_owned).collect::<Vec<_>>();
    let (of_typed, of_flag) = (words(typed), words(flag));
    let has_all = |all: &[String], some: &[String]| some.iter().all(|word| all.contains(word));
    let slips = typed.chars().count().div_ceil(4);
    has_all(&of_flag, &of_typed)
        || has_all(&of_typed, &of_flag)
        || strsim::osa_distance(typed, flag) <= slips
        || is_shortened(typed, flag)
}

/// Whether `short` is `long` without some of its letters, at least five of which are left.
fn is_shortened(short: &str, long: &str) -> bool {
    let mut letters = long.chars();
    short.chars().count() >= 5 && short.chars().all(|wanted| letters.any(|letter| letter == wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near() {
        let check = |typed: &str, guess: &'static str, expect: Option<&str>| {
            assert_eq!(meant_flag(typed, Some(guess)), expect, "{typed}");
        };
        for (typed, guess) in [
            ("--namspace=x", "--namespace"),
            ("--dryrun", "--dry-run"),
            ("--kubecfg", "--kubeconfig"),
            ("--timeout", "--idle-timeout"),
            ("--token-file", "--token"),
            ("--context-name", "--context"),
            ("--opne", "--open"),
        ] {
            check(typed, guess, Some(guess));
        }
        for (typed, guess) in [("--open", "--token"), ("--watch", "--wait"), ("--service", "--server"), ("--x", "--as")]
        {
            check(typed, guess, None);
        }
        check("--verbose", "--version", Some("-v"));
        check("--all", "--allow-host", Some("--all-namespaces"));
        assert_eq!(meant_flag("--no-open", None), Some("--no-browser"));
        assert_eq!(meant_flag("--zzz", None), None);
    }

    #[test]
    fn what_is_proposed_exists() {
        use clap::CommandFactory as _;
        let command = crate::app::args::CommandLine::command();
        for (_, here) in KNOWN_ELSEWHERE {
            let is_it = |flag: &clap::Arg| {
                let (long, short) = (flag.get_long().unwrap_or_default(), flag.get_short().unwrap_or_default());
                here == format!("--{long}") || here == format!("-{short}")
            };
            assert!(command.get_arguments().any(is_it), "{here}");
        }
    }
}
