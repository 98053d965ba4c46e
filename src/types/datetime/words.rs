//! The words of date and time input, and the abbreviations that pgveil refuses.
//!
//! Which word means what is PostgreSQL's (manual, appendix B.3).

use crate::types::ServerVersion;

/// What a word of date input says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// A month, 1 to 12.
    Month(i64),
    /// A day of the week; it is not checked against the date.
    Weekday,
    /// `am` or `pm` (true)
    Afternoon(bool),
    /// `ad` or `bc` (true)
    BeforeChrist(bool),
    /// `at`, `on`
    Filler,
    /// `t` before a time
    TimeFollows,
    /// `epoch`
    Epoch,
    /// `infinity`
    Infinity,
    /// `-infinity`
    MinusInfinity,
    /// `allballs`: midnight UTC
    MidnightUtc,
    /// An abbreviation of UTC.
    Utc,
    /// `now`, `today`, `tomorrow`, `yesterday`: what it means depends on a clock.
    Clock,
    /// Julian days and labelled fields.
    Label,
    /// A time zone's abbreviation that the server's `timezone_abbreviations` defines.
    Abbreviation,
}

/// Looks a lower-case word up.
pub(super) fn look_up(word: &str, version: ServerVersion) -> Option<Word> {
    Some(match word {
        "+infinity" if version.has_strict_moments() => Word::Infinity,
        "utc" | "gmt" | "z" | "zulu" | "uct" | "ut" => Word::Utc,
        _ if is_abbreviation(word) => Word::Abbreviation,
        _ => return core_word(word),
    })
}

/// Looks a lower-case word up among those that are no abbreviation of a time zone.
pub(super) fn core_word(word: &str) -> Option<Word> {
    Some(match word {
        "jan" | "january" => Word::Month(1),
        "feb" | "february" => Word::Month(2),
        "mar" | "march" => Word::Month(3),
        "apr" | "april" => Word::Month(4),
        "may" => Word::Month(5),
        "jun" | "june" => Word::Month(6),
        "jul" | "july" => Word::Month(7),
        "aug" | "august" => Word::Month(8),
        "sep" | "sept" | "september" => Word::Month(9),
        "oct" | "october" => Word::Month(10),
        "nov" | "november" => Word::Month(11),
        "dec" | "december" => Word::Month(12),
        "mon" | "monday" | "tue" | "tues" | "tuesday" | "wed" | "weds" | "wednesday" | "thu"
        | "thur" | "thurs" | "thursday" | "fri" | "friday" | "sat" | "saturday" | "sun"
        | "sunday" => Word::Weekday,
        "am" => Word::Afternoon(false),
        "pm" => Word::Afternoon(true),
        "ad" => Word::BeforeChrist(false),
        "bc" => Word::BeforeChrist(true),
        "at" | "on" => Word::Filler,
        "t" => Word::TimeFollows,
        "epoch" => Word::Epoch,
        "infinity" => Word::Infinity,
        "-infinity" => Word::MinusInfinity,
        "allballs" => Word::MidnightUtc,
        "now" | "today" | "tomorrow" | "yesterday" => Word::Clock,
        "d" | "dow" | "doy" | "dst" | "h" | "isodow" | "isoyear" | "j" | "jd" | "julian" | "m"
        | "mm" | "s" | "y" => Word::Label,
        _ => return None,
    })
}

/// The names in PostgreSQL 15's default set of abbreviations, those of UTC left out.
const ABBREVIATIONS: &str = "acdt acsst acst act acwst adt aedt aesst aest aft akdt akst almst almt amst amt anast \
    anat arst art ast awsst awst azost azot azst azt bdst bdt bnt bort bot bra brst brt bst btt cadt cast cct cdt cest \
    cet cetdst chadt chast chut ckt clst clt cot cst cxt davt ddut easst east eat edt eest eet eetdst egst egt est fet \
    fjst fjt fkst fkt fnst fnt galt gamt gest get gft gilt gyt hkt hst ict idt iot irkst irkt irt ist jayt jst kdt \
    kgst kgt kost krast krat kst lhdt lhst ligt lint lkt magst magt mart mawt mdt mest mesz met metdst mez mht mmt mpt \
    msd msk mst must mut mvt myt ndt nft novst novt npt nst nut nzdt nzst nzt omsst omst pdt pet petst pett pgt pht \
    pkst pkt pmdt pmst pont pst pwt pyst pyt ret sadt sast sct sgt taht tft tjt tkt tmt tot trut tvt ulast ulat uyst \
    uyt uzst uzt vet vlast vlat volt vut wadt wakt wast wat wdt wet wetdst wft wgst wgt xjt yakst yakt yapt yekst yekt";

fn is_abbreviation(word: &str) -> bool {
    ABBREVIATIONS.split_whitespace().any(|name| name == word)
}
