//! Aligned Markdown tables.

/// Renders columns as wide as their widest cell, figures to the right.
pub fn render(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widths = cells.map(|cell| cell.chars().count());
        let widest = widths.max().unwrap_or_default();
        widest.max(header[column].chars().count())
    };
    let widths: Vec<_> = (0..header.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells = cells.zip(&widths);
        let cells = cells.map(|(cell, &width)| format!(" {cell:>width$} |"));
        format!("|{}\n", cells.collect::<String>())
    };
    let rule = widths
        .iter()
        .map(|width| format!("{}:|", "-".repeat(width + 1)));
    let mut text = line(&mut header.iter().copied());
    text.push_str(&format!("|{}\n", rule.collect::<String>()));
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    text
}
