//! `name`: what is left of a person's name.
//!
//! - A text whose first character is Chinese, Japanese or Korean keeps the family name: its first character, or
//!   the first two when they are a double family name of the list below and more follows. Every other character,
//!   blanks included, becomes `*`: `王小明` → `王**`, `欧阳娜娜` → `欧阳**`, `田中太郎` → `田***`. One character
//!   alone becomes `*`.
//! - In any other text each word (what stands between white space) keeps its first character and becomes `***`
//!   after it, however long it is; white space stays: `Anna Lee` → `A*** L***`, `J.` → `J***`.
//!
//! On a `varchar(n)` what is longer than n characters is cut. For texts.

use super::redact::MASKED;
use super::sql;

/// Code points whose texts are taken for Chinese, Japanese or Korean names, both ends included.
const CJK: [(u32, u32); 9] = [
    (0x1100, 0x11ff),   // Hangul letters
    (0x3005, 0x3007),   // iteration mark, closing mark, zero
    (0x3040, 0x318f),   // kana, bopomofo, Hangul compatibility letters
    (0x31a0, 0x31ff),   // bopomofo and kana extensions
    (0x3400, 0x4dbf),   // ideographs, extension A
    (0x4e00, 0x9fff),   // ideographs
    (0xac00, 0xd7ff),   // Hangul syllables
    (0xf900, 0xfaff),   // compatibility ideographs
    (0x20000, 0x3ffff), // ideographs, extensions B and later
];

/// White space between words: the code points with the property White_Space (Unicode 15), both ends included.
const WHITE_SPACE: [(u32, u32); 10] = [
    (0x09, 0x0d),
    (0x20, 0x20),
    (0x85, 0x85),
    (0xa0, 0xa0),
    (0x1680, 0x1680),
    (0x2000, 0x200a),
    (0x2028, 0x2029),
    (0x202f, 0x202f),
    (0x205f, 0x205f),
    (0x3000, 0x3000),
];

/// Family names of two characters, simplified and traditional, and the Korean ones.
const DOUBLE: [&str; 65] = [
    "欧阳", "歐陽", "司马", "司馬", "上官", "诸葛", "諸葛", "司徒", "夏侯", "皇甫", "尉迟", "尉遲",
    "公孙", "公孫", "慕容", "令狐", "宇文", "长孙", "長孫", "端木", "独孤", "獨孤", "南宫", "南宮",
    "东方", "東方", "西门", "西門", "轩辕", "軒轅", "百里", "呼延", "东郭", "東郭", "司空", "鲜于",
    "鮮于", "闾丘", "閭丘", "太史", "申屠", "澹台", "澹臺", "赫连", "赫連", "公冶", "宗政", "濮阳",
    "濮陽", "淳于", "万俟", "闻人", "聞人", "太叔", "公羊", "钟离", "鍾離", "拓跋", "第五", "남궁",
    "황보", "제갈", "선우", "독고", "사공",
];

fn is_in(ranges: &[(u32, u32)], character: char) -> bool {
    ranges
        .iter()
        .any(|&(from, to)| (from..=to).contains(&u32::from(character)))
}

pub(super) fn apply(text: &str) -> String {
    match text.chars().next() {
        Some(first) if is_in(&CJK, first) => family_name_kept(text),
        _ => initials_kept(text),
    }
}

fn family_name_kept(text: &str) -> String {
    let length = text.chars().count();
    let double = DOUBLE.iter().any(|name| text.starts_with(name));
    let kept = match length {
        0 | 1 => 0,
        2 => 1,
        _ if double => 2,
        _ => 1,
    };
    text.chars()
        .enumerate()
        .map(|(index, character)| if index < kept { character } else { '*' })
        .collect()
}

fn initials_kept(text: &str) -> String {
    let mut masked = String::with_capacity(text.len() + MASKED.len());
    let mut within_word = false;
    for character in text.chars() {
        let blank = is_in(&WHITE_SPACE, character);
        if blank {
            masked.push(character);
        } else if !within_word {
            masked.push(character);
            masked.push_str(MASKED);
        }
        within_word = !blank;
    }
    masked
}

pub(super) fn sql(column: &str) -> String {
    let text = sql::text(column);
    // ascii() gives the first character's code point in UTF8, 0 for an empty text.
    let first = format!("pg_catalog.ascii({text})");
    let cjk: Vec<String> = CJK
        .iter()
        .map(|(from, to)| {
            format!(
                "({} AND {})",
                sql::infix(&first, ">=", &from.to_string()),
                sql::infix(&first, "<=", &to.to_string())
            )
        })
        .collect();
    format!(
        "CASE WHEN {} THEN {} ELSE {} END",
        cjk.join(" OR "),
        family_name_sql(&text),
        initials_sql(&text)
    )
}

fn family_name_sql(text: &str) -> String {
    let length = sql::char_length(text);
    let names: Vec<String> = DOUBLE
        .iter()
        .map(|name| name.chars().map(sql::regex_escape).collect())
        .collect();
    let double = sql::infix(
        &sql::bytewise(text),
        "~",
        &sql::text_literal(&format!("^(?:{})", names.join("|"))),
    );
    let kept = format!(
        "CASE WHEN {} THEN 0 WHEN {} THEN 1 WHEN {double} THEN 2 ELSE 1 END",
        sql::infix(&length, "<=", "1"),
        sql::infix(&length, "<=", "2"),
    );
    let family = format!("pg_catalog.\"left\"({text}, {kept})");
    let rest = sql::infix(&length, "-", &format!("({kept})"));
    sql::infix(
        &family,
        "||",
        &format!("pg_catalog.repeat('*'::pg_catalog.text, {rest})"),
    )
}

fn initials_sql(text: &str) -> String {
    let blank: String = WHITE_SPACE
        .iter()
        .map(|(from, to)| format!("\\U{from:08x}-\\U{to:08x}"))
        .collect();
    let replaced = format!(
        "pg_catalog.regexp_replace({}, {}, {}, 'g'::pg_catalog.text)",
        sql::bytewise(text),
        sql::text_literal(&format!("([^{blank}])[^{blank}]*")),
        sql::text_literal(&format!("\\1{MASKED}")),
    );
    // By way of cstring the explicit collation is left behind.
    sql::of_column(
        text,
        &format!("pg_catalog.textin(pg_catalog.textout({replaced}))"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initials_or_the_family_name_stay() {
        for (name, masked) in [
            ("Anna Lee", "A*** L***"),
            (" Jean-Luc  P. ", " J***  P*** "),
            ("王小明", "王**"),
            ("王明", "王*"),
            ("王", "*"),
            ("欧阳娜娜", "欧阳**"),
            ("欧阳", "欧*"),
            ("王 小明", "王***"),
            ("田中太郎", "田***"),
            ("김철수", "김**"),
            ("Dr. 王", "D*** 王***"),
            ("", ""),
        ] {
            assert_eq!(apply(name), masked);
        }
    }

    #[test]
    fn white_space_is_unicode_s() {
        for character in char::MIN..=char::MAX {
            assert_eq!(is_in(&WHITE_SPACE, character), character.is_whitespace());
        }
    }
}
