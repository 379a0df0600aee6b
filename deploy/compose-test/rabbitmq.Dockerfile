# RabbitMQ 4.0 as Debian 13 has it, in the place of Docker's own image, which no registry gives where this is used. It takes the
# same settings, from the environment and in the same files.

ARG BASE_IMAGE=debian:trixie-slim

# hadolint ignore=DL3006
FROM ${BASE_IMAGE}
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends rabbitmq-server \
    && rm -rf /var/lib/apt/lists/* /etc/rabbitmq/rabbitmq-env.conf
# Not Debian's scripts in sbin: they change the user, and ours is the right one already.
ENV PATH=/usr/lib/rabbitmq/bin:$PATH RABBITMQ_LOGS=-
# The package chooses its number.
# hadolint ignore=DL3066
USER rabbitmq
VOLUME /var/lib/rabbitmq
EXPOSE 5672 15672 15692
CMD ["rabbitmq-server"]
