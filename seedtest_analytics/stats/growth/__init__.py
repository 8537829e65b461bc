"""Bayesian growth, `score ~ week + (week | student)`, and the probability of reaching a goal.

    y_ij = α + u_i + (β + v_i) t_ij + ε_ij,   (u_i, v_i) ~ N(0, Σ),   ε_ij ~ N(0, σ² / weight_ij)

    data = growth_data(student, week, score=score)           # data: sums per student and design; refuses bad rows
    posterior = fit_stan(data, sampler, priors=priors)       # stan: NUTS on the density without student effects
    posterior = fit_laplace(data, priors)                    # laplace: seconds; its verdict says where it falls short
    posterior = posterior_of_brms(draws, data)               # brms: draws that R's brms made
    posterior.verdict, .summary(), .diagnostics()            # posterior: one result, the contract's JSON shapes
    predict_blocks(posterior, data, goal_week=…, goal=…)     # prediction: line, projection, P with bounds
    goal_probability(score, trend, …, posterior=posterior)   # goal: one student on demand

`counts` and `binomial` do the same for right answers out of answered. `docs/growth.md` has the model and the numbers.
"""
