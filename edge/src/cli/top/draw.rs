//! The screen, drawn.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Direction, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Clear, Paragraph, Row, Sparkline, Table, TableState, Wrap};

use super::look::Taker;
use super::screen::{Curve, Screen};
use crate::cli::reader::bytes;

/// From here on the two tables stand side by side.
const WIDE: u16 = 120;
const CURVES_HEIGHT: u16 = 5;
const DROPS_HEIGHT: u16 = 7;

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, screen: &Screen) {
    let [title, curves, tables, drops, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(CURVES_HEIGHT),
        Constraint::Min(6),
        Constraint::Length(DROPS_HEIGHT),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(headline(screen)), title);
    draw_curves(frame, screen, curves);
    draw_tables(frame, screen, tables);
    draw_drops(frame, screen, drops);
    frame.render_widget(Paragraph::new(footline(screen)), foot);
    if let Some(text) = &screen.text {
        draw_text(frame, text);
    }
}

fn headline(screen: &Screen) -> Line<'_> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mode = match screen.look.guard.as_str() {
        "enforce" => Style::new().fg(Color::Green),
        "observe" => Style::new().fg(Color::Yellow),
        _ => Style::new().fg(Color::Red),
    };
    let mut line = Line::from(vec![
        Span::styled("edge ", bold),
        Span::raw(&screen.node),
        Span::raw(format!("  {} connections  guard ", screen.look.conns)),
        Span::styled(&screen.look.guard, mode),
    ]);
    if screen.paused {
        line.push_span(Span::styled("  standing still", Style::new().fg(Color::Yellow)));
    }
    line
}

fn footline(screen: &Screen) -> Line<'_> {
    if let Some(prefix) = screen.asked {
        let style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
        return Line::styled(format!("drop every packet of {prefix} for an hour? y/n"), style);
    }
    match screen.said.is_empty() {
        true => Line::raw("q end  up/down choose  e explain  b ban  u unban  p stand still"),
        false => Line::styled(&*screen.said, Style::new().fg(Color::Yellow)),
    }
}

fn draw_curves(frame: &mut Frame<'_>, screen: &Screen, area: Rect) {
    let rates = &screen.rates;
    let hits = rates.hit_percent.map_or("-".to_owned(), |percent| format!("{percent} %"));
    let curves: [(String, &Curve, Color, Option<u64>); 5] = [
        (format!("sent {}/s", bytes(rates.sent_bytes)), &screen.sent, Color::Green, None),
        (format!("requests {}/s", rates.requests), &screen.requests, Color::Cyan, None),
        (format!("hits {hits}"), &screen.hits, Color::Blue, Some(100)),
        (format!("origins {}/s", bytes(rates.origin_bytes)), &screen.origin, Color::Yellow, None),
        (format!("against {} p/s", rates.dropped), &screen.drops, Color::Red, None),
    ];
    let areas = Layout::horizontal([Constraint::Fill(1); 5]).split(area);
    for ((title, curve, color, most), area) in curves.into_iter().zip(areas.iter()) {
        let block = Block::bordered().title(title);
        let data = curve.last(usize::from(block.inner(*area).width));
        let mut line = Sparkline::default().data(data).style(Style::new().fg(color)).block(block);
        if let Some(most) = most {
            line = line.max(most);
        }
        frame.render_widget(line, *area);
    }
}

fn draw_tables(frame: &mut Frame<'_>, screen: &Screen, area: Rect) {
    let direction = if area.width >= WIDE { Direction::Horizontal } else { Direction::Vertical };
    let halves = Layout::default().direction(direction).constraints([Constraint::Fill(1); 2]);
    let [left, right] = halves.areas(area);

    let (look, rates) = (&screen.look, &screen.rates);
    let clients = look.clients.iter().enumerate().map(|(index, client)| {
        let row = taker(client, rates.clients.get(index), &client.conns.to_string());
        match client.banned {
            true => row.style(Style::new().fg(Color::Red)),
            false if client.refused > 0 => row.style(Style::new().fg(Color::Yellow)),
            false => row,
        }
    });
    let table = in_columns(clients.collect(), ["CLIENT", "NOW", "SENT", "REQUESTS", "CONNS"]);
    let mut state = TableState::default().with_selected(screen.chosen());
    frame.render_stateful_widget(table, left, &mut state);

    let objects = look.objects.iter().enumerate();
    let objects = objects.map(|(index, object)| taker(object, rates.objects.get(index), ""));
    let table = in_columns(objects.collect(), ["OBJECT", "NOW", "SENT", "REQUESTS", ""]);
    frame.render_widget(table, right);
}

fn taker<'a>(taker: &'a Taker, rate: Option<&u64>, last: &str) -> Row<'a> {
    let now = rate.map_or("-".to_owned(), |rate| format!("{}/s", bytes(*rate)));
    Row::new(vec![
        Cell::from(taker.name.as_str()),
        right(now),
        right(bytes(taker.sent_bytes)),
        right(taker.requests.to_string()),
        right(last.to_owned()),
    ])
}

fn right<'a>(text: String) -> Cell<'a> {
    Cell::from(Line::raw(text).alignment(Alignment::Right))
}

fn in_columns<'a>(rows: Vec<Row<'a>>, heads: [&'a str; 5]) -> Table<'a> {
    let [name, numbers @ ..] = heads;
    let last = if heads[4].is_empty() { 0 } else { 6 };
    let mut cells = vec![Cell::from(name)];
    cells.extend(numbers.map(|head| right(head.to_owned())));
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(12),
        Constraint::Length(10),
        Constraint::Length(9),
        Constraint::Length(last),
    ];
    Table::new(rows, widths)
        .header(Row::new(cells).style(Style::new().add_modifier(Modifier::BOLD)))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
        .block(Block::bordered())
}

fn draw_drops(frame: &mut Frame<'_>, screen: &Screen, area: Rect) {
    let [left, right] = Layout::horizontal([Constraint::Fill(1); 2]).areas(area);
    let (look, rates) = (&screen.look, &screen.rates);
    let mut drops: Vec<_> = look.drops.iter().zip(&rates.drops).collect();
    drops.sort_by_key(|(row, rate)| std::cmp::Reverse((**rate, row.packets)));
    let drops = drops.iter().map(|(row, rate)| {
        let counts = format!("{:<12} {:>9}/s {:>12}", row.reason, rate, row.packets);
        Line::raw(format!("{counts}  dropped {}", row.dropped))
    });
    let block = Block::bordered().title("packets that a reason speaks against");
    frame.render_widget(Paragraph::new(drops.collect::<Vec<_>>()).block(block), left);
    let verdicts = look.verdicts.iter().map(|(rule, times)| Line::raw(format!("{rule} {times}")));
    let block = Block::bordered().title("clients stopped, by rule");
    frame.render_widget(Paragraph::new(verdicts.collect::<Vec<_>>()).block(block), right);
}

/// Over the rest, in the middle.
fn draw_text(frame: &mut Frame<'_>, text: &str) {
    let all = frame.area();
    let width = all.width.saturating_sub(8).max(20).min(all.width);
    let height = (text.lines().count() as u16 + 4).min(all.height);
    let (x, y) = ((all.width - width) / 2, (all.height - height) / 2);
    let area = Rect { x: all.x + x, y: all.y + y, width, height };
    frame.render_widget(Clear, area);
    let block = Block::bordered().title("why (any key: back)");
    let text = Paragraph::new(text).block(block).wrap(Wrap { trim: false });
    frame.render_widget(text, area);
}
