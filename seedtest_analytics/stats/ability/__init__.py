"""Ability over time: level, slope and topic deviations of every student after every answer, and what they say ahead.

logit P(right) = a_i (θ_s(t) + u_sk(t) - b_i) + repetition. Import each name from its module:

    answers = Answers.of(student, item, topic=topic, day=day, correct=correct)      # codes from 0, days as numbers
    fit = fit_hyperparameters(answers, items=known)                                 # by predictive likelihood
    evidence = gather_evidence(answers, fit.hyperparameters, items=known)           # one pass; what the smoother reads
    smoothed = smooth(evidence, week_ends)                                          # level, slope, topics with errors
    change_between(evidence, earlier_window, recent=recent_window)                  # improvement and its error
    next_in_topic(evidence, smoothed.topics, day=end, since=lately)                 # P(right) on a topic's questions
    goal_path(smoothed.levels, fit.hyperparameters, days_ahead=60, target=1.0)      # expected level on a date
    filtered = run_filter(answers, fit.hyperparameters, items=known)                # state, predictions before each answer
    later = continue_filter(filtered.state, new_answers)                            # equals a pass from the start
    expect(filtered.state, student, item=item, topic=topic, day=day)                # P(right) by ability alone
"""
