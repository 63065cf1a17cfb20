FROM composer:2 AS vendor
WORKDIR /app
COPY composer.json composer.lock ./
RUN composer install --no-dev --no-scripts --prefer-dist

FROM php:8.3-apache
RUN docker-php-ext-install pdo_mysql opcache && a2enmod rewrite
COPY --from=vendor /app/vendor vendor
COPY . .
COPY <<-"CONF" /etc/apache2/conf-available/app.conf
	<Directory /var/www/html>
	  AllowOverride All
	</Directory>
	CONF
RUN chown -R www-data:www-data storage bootstrap/cache
