//! A table of text: columns aligned, two spaces between them, nothing at the end of a line.

use std::fmt;

use super::text::printable;

/// On which side of its column a cell stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table; `Display` writes a line per row.
#[derive(Debug, Clone)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns and no rows.
    pub fn new<const N: usize>(columns: [(&str, Align); N]) -> Self {
        Self { columns: columns.map(|(name, align)| (name.to_owned(), align)).into(), rows: Vec::new() }
    }

    /// Adds a row. Missing cells are empty, those without a column are left out.
    pub fn row(&mut self, cells: &[&str]) {
        // A cell is one line: printable() puts a bar before each further one, which would break the columns.
        let mut cells: Vec<_> = cells.iter().map(|cell| printable(&cell.replace('\n', " ")).into_owned()).collect();
        cells.resize(self.columns.len(), String::new());
        self.rows.push(cells);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head: Vec<_> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        let lines = || std::iter::once(&head).chain(&self.rows);
        let widths: Vec<_> = (0..self.columns.len())
            .map(|column| lines().map(|cells| cells[column].chars().count()).max().unwrap_or(0))
            .collect();
        for cells in lines() {
            let mut line = String::new();
            for ((cell, width), (_, align)) in cells.iter().zip(&widths).zip(&self.columns) {
                let padding = " ".repeat(width - cell.chars().count());
                let (before, after) = if *align == Align::Left { ("", &*padding) } else { (&*padding, "") };
                line.extend([before, cell, after, "  "]);
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new([("layer", Align::Left), ("size", Align::Right), ("media type", Align::Left)]);
        table.row(&["dépendances", "12.3 MB", "gzip"]);
        table.row(&["app", "999 B"]);
        let expected = "layer           size  media type\ndépendances  12.3 MB  gzip\napp            999 B\n";
        assert_eq!(table.to_string(), expected);
    }
}
