use super::*;

const NOW: i64 = 1_704_296_470_000;

fn page(executions: &[(i64, Option<i64>)], next_token: Option<&str>) -> ExecutionPage {
    let listed = |&(started_at, stopped_at): &(i64, Option<i64>)| Listed {
        execution_arn: format!("arn:{started_at}"),
        name: started_at.to_string(),
        status: stopped_at.map_or("RUNNING", |_| "SUCCEEDED").to_owned(),
        started_at,
        stopped_at,
        redrive_count: 0,
    };
    ExecutionPage {
        executions: executions.iter().map(listed).collect(),
        next_token: next_token.map(str::to_owned),
    }
}

fn take(cursor: &Cursor, reach: Reach, page: &ExecutionPage, now: i64) -> (Vec<i64>, Cursor) {
    let (ended, _, after) = sort(cursor, reach, page, now);
    (ended, after)
}

/// The ended ones, the unsettled ones, and the cursor afterwards.
fn sort(
    cursor: &Cursor,
    reach: Reach,
    page: &ExecutionPage,
    now: i64,
) -> (Vec<i64>, Vec<i64>, Cursor) {
    let cutoff = now - 2 * MINUTE;
    let position = cursor.position(reach, now, cutoff);
    let recent = (cutoff, now - 5 * MINUTE);
    let taken = cursor.take(reach, &position, page, recent, |_| false);
    let ended = taken.ended.iter().map(|end| end.started_at);
    let unsettled = taken.unsettled.iter().map(|one| one.started_at);
    (ended.collect(), unsettled.collect(), taken.after)
}

#[test]
fn a_pass_looks_up_ends_since_the_last_one_outside_the_grace() {
    let cursor = Cursor {
        since: NOW - 30 * MINUTE,
        ..Cursor::first(Reach::Recent, NOW - DAY)
    };
    let ended = [1, 2, 30, 31].map(|ago| (NOW - (40 + ago) * MINUTE, Some(NOW - ago * MINUTE)));
    let (looked_up, unsettled, _) = sort(&cursor, Reach::Recent, &page(&ended, None), NOW);
    assert_eq!(looked_up, [ended[1].0, ended[2].0]);
    assert_eq!(unsettled, [ended[0].0]);
}

#[test]
fn ends_older_than_two_weeks_are_left_alone() {
    let mut cursor = Cursor::first(Reach::Far, NOW - 20 * DAY);
    cursor.floor = 0;
    let ended = [14 * DAY, 14 * DAY + 1].map(|ago| (NOW - ago - MINUTE, Some(NOW - ago)));
    let (looked_up, _) = take(&cursor, Reach::Far, &page(&ended, None), NOW);
    assert_eq!(looked_up, [ended[0].0]);
}

#[test]
fn a_complete_pass_moves_since_but_never_back() {
    let first = Cursor::first(Reach::Recent, NOW);
    let (_, after) = take(&first, Reach::Recent, &page(&[], None), NOW + MINUTE);
    assert_eq!(after.completed, Some(NOW + MINUTE));
    assert_eq!((after.since, after.began), (NOW + (1 - 12) * MINUTE, NOW));
    assert_eq!(after.floor, NOW + (1 - 5) * MINUTE);
    let (_, after) = take(&after, Reach::Recent, &page(&[], None), NOW);
    assert_eq!(after.since, NOW + (1 - 12) * MINUTE);
}

#[test]
fn an_unsettled_execution_is_watched_if_no_later_pass_lists_it() {
    let mut cursor = Cursor::first(Reach::Recent, NOW - DAY);
    cursor.floor = 0;
    let open = [4, 5, 6].map(|ago| (NOW - ago * MINUTE, None));
    for reach in [Reach::Recent, Reach::Far] {
        let (_, unsettled, after) = sort(&cursor, reach, &page(&open, None), NOW);
        assert_eq!(unsettled, [open[2].0], "{reach:?}");
        assert!(after.floor <= open[1].0);
    }
}

#[test]
fn a_far_floor_is_below_all_redrivable_executions() {
    let floor = |status: &str, ended_ago: i64| {
        let mut ended = page(&[(NOW - 40 * DAY, Some(NOW - ended_ago))], None);
        status.clone_into(&mut ended.executions[0].status);
        let mut cursor = Cursor::first(Reach::Far, NOW);
        cursor.floor = i64::MIN;
        NOW - take(&cursor, Reach::Far, &ended, NOW).1.floor
    };
    let hour = 60 * MINUTE;
    for status in ["FAILED", "TIMED_OUT", "ABORTED"] {
        assert_eq!(floor(status, REDRIVABLE - 1), 40 * DAY + hour);
        assert_eq!(floor(status, REDRIVABLE), hour);
    }
    assert_eq!(floor("SUCCEEDED", hour), hour);
}

#[test]
fn the_first_far_pass_goes_through_the_whole_list() {
    let ancient = page(&[(1, None), (0, Some(NOW))], None);
    let first = Cursor::first(Reach::Far, NOW);
    let (looked_up, after) = take(&first, Reach::Far, &ancient, NOW + 5 * MINUTE);
    assert_eq!((looked_up, after.floor), (vec![0], NOW - 55 * MINUTE));
}

#[test]
fn the_template_repeats_the_sweep_while_tokens_are_good() {
    let template = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/template.yaml"));
    let (_, parameter) = template.split_once("\n  SweepMinutes:\n").unwrap();
    let (_, most) = parameter.split_once("MaxValue: ").unwrap();
    let most: i64 = most.split_once('\n').unwrap().0.parse().unwrap();
    assert!(most * MINUTE < TOKEN_AGE, "{most}");
}

#[test]
fn a_pass_continues_until_its_token_is_too_old() {
    let first = Cursor::first(Reach::Recent, NOW);
    let open = page(&[(NOW - MINUTE, None)], Some("token"));
    let (_, between) = take(&first, Reach::Recent, &open, NOW);
    assert_eq!(between.completed, None);
    let text = serde_json::to_string(&between).unwrap();
    assert_eq!(serde_json::from_str::<Cursor>(&text).unwrap(), between);

    let later = NOW + TOKEN_AGE;
    let position = between.position(Reach::Recent, later - 1, later);
    assert_eq!(position.next_token.as_deref(), Some("token"));
    assert_eq!(
        (position.pass_started_at, position.floor, position.cutoff),
        (NOW, NOW - 5 * MINUTE, NOW - 2 * MINUTE)
    );
    let position = between.position(Reach::Recent, later, later);
    assert_eq!(
        (position.next_token, position.pass_started_at),
        (None, NOW + TOKEN_AGE)
    );
}

#[test]
fn an_unused_cursor_is_forgotten() {
    let first = Cursor::first(Reach::Far, NOW);
    assert!(!first.is_forgotten(NOW + FORGOTTEN - 1) && first.is_forgotten(NOW + FORGOTTEN));
    let (_, mut cursor) = take(&first, Reach::Far, &page(&[], None), NOW + DAY);
    assert!(!cursor.is_forgotten(NOW + FORGOTTEN) && cursor.is_forgotten(NOW + DAY + FORGOTTEN));
    // The first pass through a long list may take days.
    cursor = take(&first, Reach::Far, &page(&[], Some("token")), NOW + 9 * DAY).1;
    assert!(!cursor.is_forgotten(NOW + 8 * DAY + FORGOTTEN));
    assert!(cursor.is_forgotten(NOW + 9 * DAY + FORGOTTEN));
}

#[test]
fn a_pass_ends_at_its_floor() {
    let first = Cursor::first(Reach::Recent, NOW);
    let ends = [first.floor, first.floor - 1].map(|start| (start, Some(NOW)));
    let all = page(&ends, Some("token"));
    let (looked_up, after) = take(&first, Reach::Recent, &all, NOW + 5 * MINUTE);
    assert_eq!(looked_up, [first.floor]);
    assert_eq!(
        (after.completed, after.pass),
        (Some(NOW + 5 * MINUTE), None)
    );
}

#[test]
fn a_far_pass_is_due_once_a_day_and_until_it_is_complete() {
    let first = Cursor::first(Reach::Far, NOW);
    assert!(Reach::Far.is_due(&first, NOW));
    let (_, done) = take(&first, Reach::Far, &page(&[], None), NOW);
    assert!(!Reach::Far.is_due(&done, NOW + DAY - 1) && Reach::Far.is_due(&done, NOW + DAY));
    let (_, between) = take(&done, Reach::Far, &page(&[], Some("token")), NOW);
    assert!(Reach::Far.is_due(&between, NOW + 1));
    assert!(Reach::Recent.is_due(&done, NOW));
}
