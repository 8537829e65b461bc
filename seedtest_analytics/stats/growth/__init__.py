"""Bayesian growth: `score ~ week + (week | student)` and the probability of reaching a goal.

    data = growth_data(student, week, score)                 # data: sums per student and design, faults refused
    posterior = fit_stan(data, sampler, priors)              # stan: NUTS on the density without student effects
    posterior = fit_laplace(data, priors)                    # laplace: seconds, refused where it cannot be trusted
    posterior = posterior_of_brms(draws, data)               # handover: R's brms
    posterior.verdict, .summary(), .diagnostics()            # posterior: one result, the contract's JSON shapes
    predict_students(posterior, data, goal_week, goal)       # prediction: line, projection, P with bounds
    goal_probability(score, trend, weeks, target, posterior=posterior)       # goal: one student on demand

`counts` and `binomial` are the same for right answers of answered. `docs/growth.md` has the model and the numbers.
"""
