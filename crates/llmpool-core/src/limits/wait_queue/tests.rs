use super::*;

fn request(ticket: u64) -> AcquireRequest {
    of(Caller::default(), ticket)
}

fn of(caller: Caller, ticket: u64) -> AcquireRequest {
    AcquireRequest {
        ticket: Ticket(ticket),
        caller,
        demand: Demand::ONE,
        constraint: KeyConstraint::Any,
        deadline: Timestamp::MAX,
        wait_for_keys: false,
    }
}

#[test]
fn caller_is_served_in_ticket_order_across_queues() {
    let (one, two) = (Caller::new(1), Caller::new(2));
    let (mut first, mut second, mut fair) =
        (WaitQueue::default(), WaitQueue::default(), FairClocks::default());
    first.insert(of(one, 1), (), &mut fair);
    (0..5).for_each(|_| fair.record_grant(two));
    second.insert(of(one, 2), (), &mut fair);
    first.insert(of(one, 3), (), &mut fair);
    first.remove(&of(one, 1), &mut fair);
    let position = |queue: &WaitQueue<()>| queue.head(KeyConstraint::Any).unwrap().position;
    assert!(position(&second) < position(&first));
    second.remove(&of(one, 2), &mut fair);
    first.remove(&of(one, 3), &mut fair);
    // A caller returning from idle starts where a new caller does.
    (0..5).for_each(|_| fair.record_grant(two));
    first.insert(of(one, 4), (), &mut fair);
    second.insert(of(Caller::new(3), 5), (), &mut fair);
    assert_eq!(position(&first).clock, position(&second).clock);
}

/// Grants the head of the queue for any key.
fn serve(queue: &mut WaitQueue<()>, fair: &mut FairClocks) -> Option<AcquireRequest> {
    let head = *queue.head(KeyConstraint::Any)?.request;
    fair.record_grant(head.caller);
    queue.remove(&head, fair);
    Some(head)
}

#[test]
fn retry_returns_to_its_old_position() {
    let (mut queue, mut fair) = (WaitQueue::default(), FairClocks::default());
    for ticket in [7, 9, 3] {
        queue.insert(request(ticket), (), &mut fair);
    }
    let head = |queue: &WaitQueue<()>| queue.head(KeyConstraint::Any).unwrap().position.ticket;
    assert_eq!(head(&queue), Ticket(3));
    assert_eq!(queue.ahead(KeyConstraint::Any, Caller::default(), Ticket(8)), 2);
    assert_eq!(queue.ahead(KeyConstraint::Any, Caller::default(), Ticket(10)), 3);
    queue.remove(&request(3), &mut fair);
    assert_eq!(head(&queue), Ticket(7));
}

#[test]
fn empty_queue_has_no_constraints() {
    let (mut queue, mut fair) = (WaitQueue::default(), FairClocks::default());
    queue.insert(request(1), (), &mut fair);
    assert!(queue.has_waiters(KeyConstraint::Any));
    assert_eq!(queue.remove(&request(1), &mut fair), Some(()));
    assert_eq!(queue.remove(&request(1), &mut fair), None);
    assert!(queue.count() == 0 && !queue.has_waiters(KeyConstraint::Any) && queue.constraints().is_empty());
}

#[test]
fn single_call_waits_behind_at_most_one_per_other_caller() {
    let (mut queue, mut fair) = (WaitQueue::default(), FairClocks::default());
    for ticket in 0..700 {
        queue.insert(of(Caller::new(ticket % 7), ticket), (), &mut fair);
    }
    for served in 0..200 {
        let lone = of(Caller::new(99), 1000 + served);
        queue.insert(lone, (), &mut fair);
        let before = std::iter::from_fn(|| serve(&mut queue, &mut fair)).take_while(|head| *head != lone);
        let before: Vec<_> = before.map(|head| head.caller.id).collect();
        let mut distinct = before.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(before.len(), distinct.len(), "{before:?}");
        if queue.count() == 0 {
            return;
        }
    }
}

#[test]
fn callers_share_by_weight_in_ticket_order() {
    let (mut queue, mut fair) = (WaitQueue::default(), FairClocks::default());
    let heavy = Caller { id: 1, weight: 3 };
    let light = Caller { id: 2, weight: 1 };
    for ticket in 0..400 {
        queue.insert(
            of(if ticket % 2 == 0 { heavy } else { light }, ticket),
            (),
            &mut fair,
        );
    }
    let served: Vec<_> = (0..200).map(|_| serve(&mut queue, &mut fair).unwrap()).collect();
    let of_heavy = served.iter().filter(|served| served.caller == heavy);
    assert_eq!(of_heavy.clone().count(), 150);
    assert!(of_heavy.is_sorted_by_key(|served| served.ticket));
}

#[test]
fn leaving_without_a_grant_costs_the_caller_nothing() {
    let (mut queue, mut fair) = (WaitQueue::default(), FairClocks::default());
    let (one, two) = (Caller::new(1), Caller::new(2));
    for ticket in 0..100 {
        queue.insert(of(one, ticket), (), &mut fair);
    }
    (0..100).for_each(|ticket| {
        queue.remove(&of(one, ticket), &mut fair);
    });
    for ticket in 100..120 {
        queue.insert(of(if ticket < 110 { two } else { one }, ticket), (), &mut fair);
    }
    let first: Vec<_> = (0..4)
        .map(|_| serve(&mut queue, &mut fair).unwrap().caller.id)
        .collect();
    assert_eq!(first.iter().filter(|id| **id == 1).count(), 2, "{first:?}");
}

#[test]
fn idle_caller_accumulates_no_credit() {
    let (mut queue, mut fair) = (WaitQueue::default(), FairClocks::default());
    let (busy, silent) = (Caller::new(1), Caller::new(2));
    for ticket in 0..500 {
        queue.insert(of(busy, ticket), (), &mut fair);
        serve(&mut queue, &mut fair);
    }
    for ticket in 500..520 {
        queue.insert(
            of(if ticket < 510 { busy } else { silent }, ticket),
            (),
            &mut fair,
        );
    }
    let first: Vec<_> = (0..8)
        .map(|_| serve(&mut queue, &mut fair).unwrap().caller.id)
        .collect();
    assert_eq!(first.iter().filter(|id| **id == 2).count(), 4, "{first:?}");
}
