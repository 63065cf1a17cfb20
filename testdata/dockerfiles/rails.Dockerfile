FROM ruby:3.3-slim
RUN apt-get update -qq && apt-get install --no-install-recommends -y build-essential libpq-dev nodejs
WORKDIR /rails
COPY Gemfile Gemfile.lock ./
RUN bundle install --jobs 4
COPY . .
RUN SECRET_KEY_BASE=1 ./bin/rails assets:precompile
RUN if [ -d tmp ]; then rm -rf tmp/*; fi
EXPOSE 3000
CMD ["./bin/rails", "server", "-b", "0.0.0.0"]
